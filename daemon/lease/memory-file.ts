import { join } from 'node:path'
import { formatLeaseValue, parseLeaseKey, parseLeaseValue } from '../../conf/lease.ts'
import type { Logger } from '../../log/logger.ts'
import type { Instant } from '../host/clock.ts'
import { readVersioned, StateError, writeAtomically } from '../host/files.ts'
import type { Lease } from './lease.ts'
import type { Held } from './lease-book.ts'
import type { Memory } from './subnet-manager.ts'

/** What a daemon that starts while the store is away works from. */
export interface Remembered {
  /** The text of the network configuration. */
  readonly config: string
  readonly memory: Memory
}

const version = 1

export function memoryPath(stateDir: string): string {
  return join(stateDir, 'leases.json')
}

/** When the file is written or read. */
export interface MemoryMoment {
  readonly now: Instant
  readonly bootId: string
}

/**
 * Times are kept on the wall clock, the only one that outlives a boot, with what it showed then: in
 * the same boot it does not matter how it was set since.
 */
export function writeMemory(
  path: string,
  { config, memory }: Remembered,
  { now, bootId }: MemoryMoment,
): void {
  const wall = (boot: number): number => boot - now.boot + now.wall
  const saved = {
    v: version,
    bootId,
    written: now,
    config,
    clusterId: memory.clusterId,
    revision: memory.revision,
    own: memory.own && { ...saveLease(memory.own.lease), heldUntil: wall(memory.own.heldUntil) },
    peers: memory.peers.map(({ lease, expires, dropAt }) => ({
      ...saveLease(lease),
      expires: wall(expires),
      dropAt: dropAt === undefined ? undefined : wall(dropAt),
    })),
  }
  writeAtomically(path, `${JSON.stringify(saved)}\n`, 0o600)
}

function saveLease({ key, attrs, revision, reserved }: Lease): Record<string, unknown> {
  return { key, value: formatLeaseValue(attrs), revision, reserved }
}

/**
 * Undefined when there is no such file, or only a part of one. Leases in it that cannot be read are
 * left out, and none but a reservation lasts longer than `ttlMs` from now, whatever the clock says.
 * @throws StateError for a file that is not ours or of a newer version.
 */
export function readMemory(
  path: string,
  { now, bootId, ttlMs }: MemoryMoment & { readonly ttlMs: number },
  log: Logger,
): Remembered | undefined {
  const saved = readSaved(path, log)
  if (!saved) return undefined
  const then = saved['bootId'] === bootId ? readInstant(saved['written']) : undefined
  const { wall, boot } = then ?? now
  const capped = (time: unknown, longest: number): number =>
    isNumber(time) ? Math.min(time - wall + boot, now.boot + longest) : now.boot
  const { config, clusterId, revision, own, peers } = saved
  const mine = readLease(own)
  return {
    config: typeof config === 'string' ? config : '',
    memory: {
      clusterId: typeof clusterId === 'string' ? clusterId : undefined,
      revision: typeof revision === 'number' ? revision : 0,
      own: mine && {
        lease: mine.lease,
        heldUntil: capped(
          mine.fields['heldUntil'],
          mine.lease.reserved ? Number.POSITIVE_INFINITY : ttlMs,
        ),
      },
      peers: (Array.isArray(peers) ? peers : []).flatMap((peer): Held[] => {
        const read = readLease(peer)
        if (!read) return []
        const { expires, dropAt } = read.fields
        const leaving = isNumber(dropAt) ? { dropAt: capped(dropAt, ttlMs) } : {}
        return [{ lease: read.lease, expires: capped(expires, ttlMs), ...leaving }]
      }),
    },
  }
}

function readInstant(value: unknown): Instant | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { boot, wall } = value as Readonly<Record<string, unknown>>
  return isNumber(boot) && isNumber(wall) ? { boot, wall } : undefined
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value)
}

function readSaved(path: string, log: Logger): ReturnType<typeof readVersioned> {
  try {
    return readVersioned(path, version)
  } catch (error) {
    // It only helps while the store is away.
    if (!(error instanceof StateError && error.cause instanceof SyntaxError)) throw error
    log.warn('the leases of the run before cannot be read', { error: error.message })
    return undefined
  }
}

function readLease(saved: unknown): { lease: Lease; fields: Record<string, unknown> } | undefined {
  if (typeof saved !== 'object' || saved === null) return undefined
  const fields = saved as Record<string, unknown>
  const { key, value, revision, reserved } = fields
  const subnets = typeof key === 'string' ? parseLeaseKey(key) : undefined
  if (typeof key !== 'string' || !subnets || typeof value !== 'string') return undefined
  try {
    const attrs = parseLeaseValue(value)
    const lease = {
      ...{ key, subnets, attrs, reserved: reserved === true },
      revision: isNumber(revision) ? revision : 0,
    }
    return { lease, fields }
  } catch {
    // A file that somebody edited; the store has the lease if anybody does.
    return undefined
  }
}
