import { RTM_NEWLINK } from '../../../netlink/codec/link.ts'
import type { Request } from '../../../netlink/codec/message.ts'
import { RTM_NEWQDISC, RTM_NEWTFILTER } from '../../../netlink/codec/traffic.ts'
import { redirectIngress } from '../../../netlink/filter.ts'
import { addLink, deleteLinks, setLink } from '../../../netlink/link.ts'
import { deleteQdisc, handle, replaceQdisc } from '../../../netlink/qdisc.ts'
import { PEER, type ReplyCase, type RequestCase } from './cases.ts'

/** By the order of creation, of the cases before these too. */
const [bridge, veth, ifb] = [2, 3, 6]
const netnsFd = 7

function second([, request]: readonly [Request, Request]): Request {
  return request
}

/** Made after the other cases' links are there. */
export const trafficCases: readonly RequestCase[] = [
  {
    name: 'ifb',
    command: 'ip link add name ifb0 mtu 1400 txqueuelen 500 type ifb',
    ours: addLink({ kind: 'ifb', name: 'ifb0', mtu: 1400, txQueueLength: 500 }),
  },
  {
    name: 'macvlan',
    command: 'ip link add link br0 name mv0 mtu 1400 type macvlan mode bridge bcqueuelen 2000',
    ours: addLink({
      kind: 'macvlan',
      name: 'mv0',
      mtu: 1400,
      link: bridge,
      mode: 'bridge',
      bcQueueLength: 2000,
    }),
  },
  {
    name: 'macvlan born in another namespace',
    command: `ip link add link br0 name mv1 netns ${PEER} type macvlan mode private`,
    ours: addLink({ kind: 'macvlan', name: 'mv1', netnsFd, link: bridge, mode: 'private' }),
  },
  {
    name: 'alias and group',
    command: 'ip link set dev ifb0 alias heddle:brnet:c1 group 7',
    ours: setLink({ index: ifb, alias: 'heddle:brnet:c1', group: 7 }),
  },
  {
    name: 'ifb up',
    command: 'ip link set dev ifb0 up',
    ours: setLink({ index: ifb, up: true }),
  },
  {
    name: 'tbf',
    command: 'tc qdisc replace dev veth0 root handle 1: tbf rate 8mbit burst 20000 limit 45000',
    ours: replaceQdisc({
      kind: 'tbf',
      index: veth,
      handle: handle(1),
      rate: 1e6,
      burst: 20000,
      limit: 45000,
    }),
  },
  {
    name: 'tbf of more than 34 Gbit/s',
    command: 'tc qdisc replace dev ifb0 root handle 1: tbf rate 80gbit burst 1000000 limit 2000000',
    ours: replaceQdisc({
      kind: 'tbf',
      index: ifb,
      handle: handle(1),
      rate: 1e10,
      burst: 1e6,
      limit: 2e6,
    }),
  },
  {
    name: 'fq_codel beneath',
    command:
      'tc qdisc replace dev veth0 parent 1:1 handle 10: fq_codel limit 1000 flows 64 target 5ms interval 100ms quantum 1514 memory_limit 1000000 ecn',
    mayFail: true,
    ours: replaceQdisc({
      kind: 'fq_codel',
      index: veth,
      parent: handle(1, 1),
      handle: handle(0x10),
      limit: 1000,
      flows: 64,
      targetMicroseconds: 5000,
      intervalMicroseconds: 100_000,
      quantum: 1514,
      memoryLimit: 1_000_000,
      ecn: true,
    }),
  },
  {
    name: 'bfifo beneath',
    command: 'tc qdisc replace dev veth0 parent 1:1 handle 10: bfifo limit 50000',
    ours: replaceQdisc({
      kind: 'bfifo',
      index: veth,
      parent: handle(1, 1),
      handle: handle(0x10),
      limit: 50000,
    }),
  },
  {
    name: 'ingress',
    command: 'tc qdisc replace dev veth0 ingress',
    ours: replaceQdisc({ kind: 'ingress', index: veth }),
  },
  {
    name: 'redirection',
    command:
      'tc filter add dev veth0 ingress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb0',
    ours: second(redirectIngress({ index: veth, to: ifb })),
  },
]

export const trafficReplies: readonly ReplyCase[] = [
  { name: 'macvlans and ifbs', command: 'ip -d link show', type: RTM_NEWLINK },
  { name: 'qdiscs', command: 'tc qdisc show', type: RTM_NEWQDISC },
  { name: 'filters', command: 'tc filter show dev veth0 ingress', type: RTM_NEWTFILTER },
]

export const trafficUndoCases: readonly RequestCase[] = [
  {
    name: 'ingress deleted',
    command: 'tc qdisc del dev veth0 ingress',
    ours: deleteQdisc({ index: veth, parent: 'ingress' }),
  },
  {
    name: 'tbf deleted',
    command: 'tc qdisc del dev veth0 root',
    ours: deleteQdisc({ index: veth }),
  },
  {
    name: 'links of a group deleted',
    command: 'ip link delete group 7',
    ours: deleteLinks({ group: 7 }),
  },
]
