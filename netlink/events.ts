import type { Family } from '../ip/address.ts'
import { decodeAddress, type InterfaceAddress } from './address.ts'
import { RTM_DELADDR, RTM_NEWADDR } from './codec/address.ts'
import { AF_BRIDGE, familyOf } from './codec/family.ts'
import { ifinfomsg } from './codec/ifinfo.ts'
import { RTM_DELLINK, RTM_NEWLINK } from './codec/link.ts'
import { decodeMessages, type Message } from './codec/message.ts'
import { ndmsg, RTM_DELNEIGH, RTM_NEWNEIGH } from './codec/neighbour.ts'
import { RTM_DELROUTE, RTM_DELRULE, RTM_NEWROUTE, RTM_NEWRULE, rtmsg } from './codec/route.ts'
import { decodeLink, type Link } from './link.ts'
import { decodeFdb, decodeNeighbour, type FdbEntry, type Neighbour } from './neighbour.ts'
import { decodeRoute, type Route } from './route.ts'

/** RTNLGRP_*, uapi/linux/rtnetlink.h: what a socket can ask to be told of. */
export const groups = {
  link: 1,
  neighbour: 3,
  ipv4Address: 5,
  ipv4Route: 7,
  ipv4Rule: 8,
  ipv6Address: 9,
  ipv6Route: 11,
  ipv6Rule: 19,
} as const

/**
 * Something that came, changed or went in the kernel, whoever did it. `port` is a bridge speaking
 * of one of its ports: when that is gone the link has left the bridge and may live on.
 */
export type KernelEvent = { readonly gone: boolean } & (
  | { readonly kind: 'link'; readonly link: Link }
  | { readonly kind: 'port'; readonly port: Link }
  | { readonly kind: 'address'; readonly address: InterfaceAddress }
  | { readonly kind: 'route'; readonly route: Route }
  /** Which table is asked for which packets: `ip rule`. */
  | { readonly kind: 'rule'; readonly family: Family }
  | { readonly kind: 'neighbour'; readonly neighbour: Neighbour }
  | { readonly kind: 'fdb'; readonly fdb: FdbEntry }
)

/**
 * Reads one datagram of a socket that has joined `groups`. Messages of other types and of families
 * that are not IP are left out. Throws `RangeError` on bytes it cannot be: then, as after ENOBUFS,
 * something may have been missed.
 */
export function decodeEvents(datagram: Uint8Array): KernelEvent[] {
  return decodeMessages(datagram).flatMap((message) => decodeEvent(message) ?? [])
}

function decodeEvent({ type, payload }: Message): KernelEvent | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return linkEvent(type === RTM_DELLINK, payload)
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = decodeAddress(payload)
      return address && { kind: 'address', gone: type === RTM_DELADDR, address }
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = decodeRoute(payload)
      return route && { kind: 'route', gone: type === RTM_DELROUTE, route }
    }
    case RTM_NEWRULE:
    case RTM_DELRULE: {
      // struct fib_rule_hdr has the family where rtmsg has it.
      const family = familyOf(rtmsg.read(payload).family)
      return family && { kind: 'rule', gone: type === RTM_DELRULE, family }
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return neighbourEvent(type === RTM_DELNEIGH, payload)
    default:
      return undefined
  }
}

function linkEvent(gone: boolean, payload: Uint8Array): KernelEvent {
  const link = decodeLink(payload)
  const isPort = ifinfomsg.read(payload).family === AF_BRIDGE
  return isPort ? { kind: 'port', gone, port: link } : { kind: 'link', gone, link }
}

function neighbourEvent(gone: boolean, payload: Uint8Array): KernelEvent | undefined {
  const { family } = ndmsg.read(payload)
  if (family === AF_BRIDGE) return { kind: 'fdb', gone, fdb: decodeFdb(payload) }
  if (!familyOf(family)) return undefined
  return { kind: 'neighbour', gone, neighbour: decodeNeighbour(payload) }
}
