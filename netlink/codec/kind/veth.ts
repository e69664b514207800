import { birthTable, ifinfomsg } from '../ifinfo.ts'
import { decodeBody } from '../struct.ts'
import { type Given, nested, writeAttrs } from '../table.ts'
import type { Wire } from '../wire.ts'

/**
 * The far end of a veth pair, born in the namespace of `netnsFd` and never anywhere else. It cannot
 * be born up: the kernel pairs the ends later than it would raise this one (ENOTCONN).
 */
export type VethPeer = Given<typeof birthTable>

const VETH_INFO_PEER = 1

/** VETH_INFO_PEER, uapi/linux/veth.h: a whole link message inside, not marked as nested. */
const vethPeer: Wire<VethPeer> = {
  write(out, peer) {
    ifinfomsg.write(out, {})
    writeAttrs(out, birthTable, peer)
  },
  read: (payload) => decodeBody(ifinfomsg, birthTable, payload).attrs,
}

/** A veth's IFLA_INFO_DATA; the kernel takes it but never answers it. */
export const vethWire = nested({ peer: { type: VETH_INFO_PEER, wire: vethPeer } })
