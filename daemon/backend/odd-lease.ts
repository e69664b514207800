import { type ByFamily, families, familiesOf } from '../../ip/by-family.ts'
import { network, type Prefix } from '../../ip/prefix.ts'
import type { Lease } from '../lease/lease.ts'
import { entryId, ourRoute } from './kernel-state.ts'

/** Revisions are smaller. */
const BEHIND = 2 ** 52

/**
 * By what a lease has its way where others want the same entry: the newer one wins, but one of
 * another form than this host's own (another prefix length, other families) never takes anything
 * from one that is as all should be. Whoever can write to the store could take a host's packets with it.
 */
export function rankOf({ subnets, revision }: Lease, own: ByFamily<Prefix>): number {
  const isUsual = families.every((family) => subnets[family]?.length === own[family]?.length)
  return isUsual ? revision : revision - BEHIND
}

/**
 * The subnets of the usual length that a lease's smaller ones are inside of: with the routes that a
 * host has who holds them. Its own more exact routes would take a part of that host's packets.
 */
export function subnetsAround({ subnets }: Lease, own: ByFamily<Prefix>): Around[] {
  return familiesOf(subnets).flatMap((family): Around[] => {
    const [subnet, usual] = [subnets[family], own[family]]
    if (!subnet || !usual || subnet.length <= usual.length) return []
    const outer = network({ address: subnet.address, length: usual.length })
    const via = { gateway: outer.address, device: '', onlink: true }
    return [{ subnet, outer, routeId: entryId(ourRoute(outer, via)) }]
  })
}

interface Around {
  readonly subnet: Prefix
  readonly outer: Prefix
  readonly routeId: string
}
