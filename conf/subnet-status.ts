import { DecodeError } from './errors.ts'

/**
 * How the host's network is, beside the subnet file as `<subnet-file>.status.json`: the daemon
 * writes it, the plugin tells its caller what it says.
 */
export interface SubnetStatus {
  /** The subnet file holds and the first peers are in the kernel. */
  readonly ready: boolean
  /** What is wrong, as a sentence for the user; also with `ready`, when something is degraded. */
  readonly error?: string
  /** When `ready` or `error` last changed: ISO 8601, UTC. */
  readonly since: string
  /** Until when the lease is held; absent before there is one. */
  readonly held?: HeldUntil
}

/** A time on the host's boot clock, which does not jump and runs on while the host sleeps. */
export interface HeldUntil {
  /** Milliseconds since boot, `/proc/uptime`. */
  readonly expires: number
  /** `/proc/sys/kernel/random/boot_id`: after another boot the time means nothing. */
  readonly bootId: string
}

const version = 1

/** The status file of a subnet file. */
export function subnetStatusPath(subnetFile: string): string {
  return `${subnetFile}.status.json`
}

export function formatSubnetStatus({ ready, error, since, held }: SubnetStatus): string {
  return `${JSON.stringify({ v: version, ready, error, since, ...held })}\n`
}

/** @throws DecodeError when it is none, or of a newer version than ours. */
export function parseSubnetStatus(text: string): SubnetStatus {
  const fields = readFields(text)
  if (typeof fields['v'] !== 'number' || fields['v'] > version) {
    throw new DecodeError(`status file of version ${String(fields['v'])}, ${version} is known`)
  }
  const { ready, error, since, expires, bootId } = fields
  return {
    ready: ready === true,
    ...(typeof error === 'string' && { error }),
    since: typeof since === 'string' ? since : '',
    ...(typeof expires === 'number' && typeof bootId === 'string' && { held: { expires, bootId } }),
  }
}

function readFields(text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === 'object' && json !== null) return json as Record<string, unknown>
  } catch (error) {
    throw new DecodeError('the status file is not JSON', { cause: error })
  }
  throw new DecodeError('the status file is not a JSON object')
}
