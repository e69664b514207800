import type { LeasesAnswer, ReleaseAnswer, ReserveAnswer, StoredLease } from '../conf/admin.ts'
import type { Question } from './ask.ts'
import { table } from './table.ts'

/** What a command needs: the daemon, and where to write. */
export interface CtlTools {
  readonly ask: (question: Question) => Promise<unknown>
  readonly print: (text: string) => void
  readonly format: 'text' | 'json'
}

/** `heddlectl lease ls`: every lease in the store. */
export async function listLeases({ ask, print, format }: CtlTools): Promise<number> {
  const answer = (await ask({ path: '/leases' })) as LeasesAnswer
  if (format === 'json') print(`${JSON.stringify(answer, undefined, 2)}\n`)
  else print(showLeases(answer.leases))
  return 0
}

/** The leases as an operator reads them. */
export function showLeases(leases: readonly StoredLease[]): string {
  if (leases.length === 0) return 'no leases\n'
  const rows = leases.map((lease) => [
    lease.subnets.join(','),
    lease.publicIPs.join(',') || '-',
    lease.nodeId ?? '-',
    lease.backend || '-',
    notesOn(lease),
  ])
  return `${table([['SUBNET', 'PUBLIC IP', 'NODE', 'BACKEND', 'NOTES'], ...rows]).join('\n')}\n`
}

function notesOn({ own, reserved, unreadable, expires }: StoredLease): string {
  const notes = [
    own && 'this host',
    reserved && 'reserved',
    unreadable && 'cannot be read: see the daemon’s log',
    expires !== undefined && `until ${expires}`,
  ]
  return notes.filter((note) => typeof note === 'string').join(', ')
}

/** `heddlectl lease release`: gives back the daemon's own lease, or deletes another host's. */
export async function releaseLease(
  { ask, print }: CtlTools,
  subnet: string | undefined,
): Promise<number> {
  const body = subnet === undefined ? {} : { subnet }
  const answer = (await ask({ path: '/leases/release', method: 'POST', body })) as ReleaseAnswer
  const { own, reserved, holder } = answer
  const subnets = answer.subnets.join(' and ')
  const rest = reserved ? ', and the reservation stays' : ''
  print(
    own
      ? `lease of ${subnets} released: heddled ends, what it made in the kernel stays${rest}\n`
      : `${reserved ? 'reservation' : 'lease'} of ${subnets} deleted; ${holder} had it, and takes it again if it is alive\n`,
  )
  return 0
}

/** `heddlectl lease reserve`: a lease without an end. */
export async function reserveLease(
  { ask, print }: CtlTools,
  subnet: string,
  holder: { readonly publicIPs: readonly string[]; readonly nodeId: string | undefined },
): Promise<number> {
  const { publicIPs, nodeId } = holder
  const body = {
    subnet,
    ...(publicIPs.length > 0 && { publicIPs }),
    ...(nodeId !== undefined && { nodeId }),
  }
  const answer = (await ask({ path: '/leases/reserve', method: 'POST', body })) as ReserveAnswer
  const whom = answer.wasHeld ? `${answer.holder}, which has it now` : answer.holder
  print(`${answer.subnets.join(' and ')} reserved for ${whom}\n`)
  return 0
}
