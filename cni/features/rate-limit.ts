import type { Connection } from '../../netlink/connection.ts'
import { isErrno } from '../../netlink/errors.ts'
import { redirectIngress } from '../../netlink/filter.ts'
import type { Link } from '../../netlink/link.ts'
import { deleteQdisc, handle, listQdiscs, type Qdisc, replaceQdisc } from '../../netlink/qdisc.ts'

/** One direction's limit. */
export interface RateLimit {
  /** Bytes per second. */
  readonly rate: number
  /** Bytes that may go at once after a pause. */
  readonly burst: number
}

/** How long a packet may wait in the queue, as upstream. */
const latencySeconds = 0.025
/** What a burst may carry at most: a tenth of a second, or one packet as large as they get. */
const burstSeconds = 0.1
const largestPacket = 65_536
/** An Ethernet header with two VLAN tags. */
const headerBytes = 22

/**
 * The bucket that is set up. Some runtimes ask for bursts of half a gigabyte, which is no limit at
 * all; and a bucket that no packet fits into lets none pass.
 */
export function bucketOf({ rate, burst }: RateLimit, mtu: number): RateLimit & { limit: number } {
  const most = Math.max(Math.ceil(rate * burstSeconds), largestPacket)
  const bounded = Math.max(Math.min(burst, most), mtu + headerBytes)
  return { rate, burst: bounded, limit: Math.ceil(rate * latencySeconds) + bounded }
}

/**
 * Limits what leaves a link: a bucket of tokens (tbf), and beneath it a fair queue that drops
 * early (fq_codel) if the kernel has one; else the bounded queue that comes with the bucket.
 */
export function limitRate(host: Connection, { index, mtu }: Link, limit: RateLimit): void {
  const bucket = replaceQdisc({ kind: 'tbf', index, handle: handle(1), ...bucketOf(limit, mtu) })
  const queue = replaceQdisc({ kind: 'fq_codel', index, parent: handle(1, 1) })
  const [refused, unknown] = host.batch([bucket, queue])
  if (refused) throw refused
  if (unknown && !isErrno(unknown, 'ENOENT')) throw unknown
}

/** Sends all that a link receives through the queue of another. */
export function redirectThrough(
  host: Connection,
  link: { readonly index: number; readonly to: number },
): void {
  for (const refused of host.batch(redirectIngress(link))) if (refused) throw refused
}

/** Takes both from a link; what others set up there in their place stays. */
export function unlimit(host: Connection, { index }: Link): void {
  const qdiscs = host.dump(listQdiscs({ index }))
  const own = [
    ...(qdiscs.some(isBucket) ? [deleteQdisc({ index })] : []),
    ...(qdiscs.some(({ kind }) => kind === 'ingress')
      ? [deleteQdisc({ index, parent: 'ingress' })]
      : []),
  ]
  for (const error of host.batch(own)) {
    // The link, or what is on it, went meanwhile.
    if (
      error &&
      !isErrno(error, 'ENOENT') &&
      !isErrno(error, 'ENODEV') &&
      !isErrno(error, 'EINVAL')
    )
      throw error
  }
}

function isBucket({ kind, parent, handle: own }: Qdisc): boolean {
  return kind === 'tbf' && parent === undefined && own === handle(1)
}

/** Says how a link's limit differs, for CHECK. */
export function rateFault(host: Connection, link: Link, { rate }: RateLimit): string | undefined {
  const bucket = host.dump(listQdiscs({ index: link.index })).find(isBucket)
  if (!bucket?.tbf) return `the rate of ${link.name} is not limited`
  if (bucket.tbf.rate === rate) return undefined
  return `${link.name} is limited to ${bucket.tbf.rate} instead of ${rate} bytes a second`
}
