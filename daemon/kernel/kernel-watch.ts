import type { Logger } from '../../log/logger.ts'
import type { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { decodeEvents, groups, type KernelEvent } from '../../netlink/events.ts'
import { getLink } from '../../netlink/link.ts'
import {
  decodeRulesetEvents,
  NFTABLES_GROUP,
  type RulesetEvent,
} from '../../netlink/nftables/events.ts'

/** Listens to multicast groups of the kernel until disposed, on the event loop; `sys/` has one. */
export type FollowNetlink = (
  protocol: 'route' | 'netfilter',
  groups: readonly number[],
  follower: {
    readonly onDatagram: (datagram: Uint8Array) => void
    readonly onLost: (error: Error) => void
  },
) => Disposable

/** Who is told what happens in the kernel, or that some of it went unheard. */
export interface KernelFollower {
  onEvents(events: readonly KernelEvent[]): void
  onLost(): void
  onRulesetEvents(events: readonly RulesetEvent[]): void
  onRulesetLost(): void
}

/**
 * Tells of everything that may concern the daemon: links, addresses, routes, neighbours, and the
 * nftables ruleset. Until disposed. Where there is no nftables, only of the others.
 */
export function watchKernel(
  follow: FollowNetlink,
  follower: KernelFollower,
  log: Logger,
): Disposable {
  using stack = new DisposableStack()
  const lost = (what: string, error: Error, tell: () => void): void => {
    // ENOBUFS: more happened than a socket can hold. That is no fault of anybody's.
    const isUsual = 'code' in error && error.code === 'ENOBUFS'
    if (!isUsual) log.warn(`${what} cannot be read`, { error: error.message })
    tell()
  }
  const onLost = (error: Error) => lost('kernel events', error, () => follower.onLost())
  const onRulesetLost = (error: Error) =>
    lost('firewall events', error, () => follower.onRulesetLost())
  stack.use(
    follow('route', Object.values(groups), {
      onDatagram: reader(decodeEvents, (events) => follower.onEvents(events), onLost),
      onLost,
    }),
  )
  try {
    stack.use(
      follow('netfilter', [NFTABLES_GROUP], {
        onDatagram: reader(
          decodeRulesetEvents,
          (events) => follower.onRulesetEvents(events),
          onRulesetLost,
        ),
        onLost: onRulesetLost,
      }),
    )
  } catch (error) {
    log.warn('firewall changes are not heard of at once', { error: String(error) })
  }
  return stack.move()
}

/** Hands on what a datagram says; one that says nothing known counts as lost. */
function reader<T>(
  decode: (datagram: Uint8Array) => T,
  tell: (events: T) => void,
  onLost: (error: Error) => void,
): (datagram: Uint8Array) => void {
  return (datagram) => {
    let events: T
    try {
      events = decode(datagram)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      onLost(error)
      return
    }
    tell(events)
  }
}

/** The loopback interface, which every namespace has. */
const LOOPBACK = 1

/** Why the data path cannot be looked after: the kernel does not answer. For the watchdog. */
export function kernelFault(route: Connection): string | undefined {
  try {
    route.get(getLink({ index: LOOPBACK }))
    return undefined
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    return error.message
  }
}
