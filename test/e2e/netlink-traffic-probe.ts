/**
 * Makes and shows links, qdiscs and filters of the namespace it is started in. Runs under Bun, which
 * the system calls need; netlink-traffic.e2e.ts looks at the same namespace with iproute2.
 * `netlink-traffic-probe.ts VERB [PEER-NETNS]`.
 */
import { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { listIngressFilters, redirectIngress } from '../../netlink/filter.ts'
import { addLink, deleteLinks, getLink, listLinks, setLink } from '../../netlink/link.ts'
import { deleteQdisc, handle, listQdiscs, replaceQdisc } from '../../netlink/qdisc.ts'
import { openNetlink } from '../../sys/netlink-socket.ts'
import { inNetns, openNetns } from '../../sys/netns.ts'

const [verb = '', peer = ''] = process.argv.slice(2)
using host = new Connection(openNetlink('route'))

function codesOf(errors: readonly (NetlinkError | undefined)[]): string[] {
  return errors.map((error) => error?.code ?? 'done')
}

function indexOf(name: string): number {
  return host.get(getLink({ name })).index
}

/** Bytes: at 1 MB/s both ways, with a burst of 64 KiB. */
const speed = { kind: 'tbf', rate: 1e6, burst: 65536, limit: 131072, handle: handle(1) } as const

/** What the container receives by the queue of its host end, what it sends by that of an ifb. */
function shape(): unknown {
  const index = indexOf('veth0')
  host.execute(addLink({ kind: 'ifb', name: 'ifb0', txQueueLength: 100, up: true }))
  const ifb = indexOf('ifb0')
  const child = { parent: handle(1, 1), handle: handle(2) }
  const errors = host.batch([
    setLink({ index: ifb, alias: 'heddle shaping', group: 77 }),
    replaceQdisc({ ...speed, index }),
    replaceQdisc({ ...speed, index: ifb }),
    ...redirectIngress({ index, to: ifb }),
    replaceQdisc({ kind: 'fq_codel', index, ...child }),
    replaceQdisc({ kind: 'bfifo', limit: 131072, index: ifb, ...child }),
    // A second time everything but the filter is as it was.
    replaceQdisc({ ...speed, index }),
    replaceQdisc({ kind: 'ingress', index }),
  ])
  return { errors: codesOf(errors), ...show() }
}

function show() {
  const index = indexOf('veth0')
  return {
    veth: host.dump(listQdiscs({ index })),
    ifbs: host.dump(listLinks({ kind: 'ifb' })),
    filters: host.dump(listIngressFilters({ index })),
  }
}

function unshape(): unknown {
  const index = indexOf('veth0')
  const errors = host.batch([
    deleteQdisc({ index }),
    deleteQdisc({ index }),
    deleteQdisc({ index, parent: 'ingress' }),
    deleteQdisc({ index, parent: 'ingress' }),
    deleteLinks({ group: 77 }),
    deleteLinks({ group: 77 }),
  ])
  return { errors: codesOf(errors), ...show() }
}

/** Where somebody else has put clsact already. */
function besideClsact(): unknown {
  const index = indexOf('veth0')
  host.execute(addLink({ kind: 'ifb', name: 'ifb0', up: true }))
  host.execute(replaceQdisc({ kind: 'clsact', index }))
  const errors = host.batch(redirectIngress({ index, to: indexOf('ifb0') }))
  return { errors: codesOf(errors), filters: host.dump(listIngressFilters({ index })).length }
}

/** A macvlan whose parent is here and which was never anywhere but there. */
function macvlan(): unknown {
  using netns = openNetns(peer)
  using inside = new Connection(inNetns(netns, () => openNetlink('route')))
  const link = indexOf('veth0')
  const spec = { kind: 'macvlan', name: 'eth9', link, mode: 'bridge', netnsFd: netns.fd } as const
  host.execute(addLink({ ...spec, bcQueueLength: 500, mtu: 1300 }))
  return {
    inside: inside.get(getLink({ name: 'eth9' })),
    outside: host.dump(listLinks({ kind: 'macvlan' })),
    parent: link,
  }
}

/** Many links, gone in one operation. */
function group(): unknown {
  const names = Array.from({ length: 20 }, (_, number) => `many${number}`)
  const made = host.batch(
    names.map((name) => addLink({ kind: 'veth', name, peer: { name: `p${name}` } })),
  )
  const grouped = host.batch(names.map((name) => setLink({ name, group: 4711 })))
  host.execute(deleteLinks({ group: 4711 }))
  const left = host.dump(listLinks()).filter(({ name }) => name.includes('many'))
  return { errors: [...made, ...grouped].filter(Boolean).length, left: left.length }
}

const verbs: Readonly<Record<string, () => unknown>> = {
  shape,
  unshape,
  besideClsact,
  macvlan,
  group,
}
process.stdout.write(`${JSON.stringify(verbs[verb]?.())}\n`)
