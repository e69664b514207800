/**
 * The daemon's table: masquerading and forwarding for whole networks, equal in effect to flannel's
 * iptables rules (flannel's own nftables form drifted from them: its fourth rule makes the sixth
 * dead, so a host's packets to remote containers keep an address that cannot be answered).
 */
import type { Family } from '../ip/address.ts'
import { families } from '../ip/by-family.ts'
import type { Prefix } from '../ip/prefix.ts'
import { priorities } from '../netlink/nftables/chain.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import type { Expression } from '../netlink/nftables/expression.ts'
import { newIntervalElements, prefixRanges } from '../netlink/nftables/interval.ts'
import { addressIn, addressIs, familyIs, masquerade, verdict } from '../netlink/nftables/match.ts'
import type { Rule } from '../netlink/nftables/rule.ts'
import type { ChainSpec, SetSpec, TableSpec } from '../netlink/nftables/table-spec.ts'
import { masqueradedElsewhere, multicast } from './not-masqueraded.ts'
import { tableComment } from './version.ts'

export interface DaemonTableInput {
  /** The daemon's instance name, part of the table's name. */
  readonly instance: string
  /** The cluster's networks, both families. Host bits do not count. */
  readonly networks: readonly Prefix[]
  /** This host's subnets of them. */
  readonly subnets: readonly Prefix[]
  /** Whether what leaves the cluster, or enters it, takes this host's address. */
  readonly ipMasq: boolean
  /** Whether masquerading picks source ports at random, which avoids clashes on busy hosts. */
  readonly fullyRandom: boolean
  /** Whether to accept what is forwarded from and to the networks. */
  readonly forward: boolean
}

/** The table's name. Throws `RangeError` for an instance name that nft could not read back. */
export function daemonTableRef(instance: string): TableRef {
  if (!/^[\w.-]{1,64}$/.test(instance)) {
    throw new RangeError(`instance name "${instance}" cannot be part of an nftables table's name`)
  }
  return { family: 'inet', name: `heddle-net-${instance}` }
}

/** What the daemon wants of nftables. Pure: the same input gives the same table. */
export function daemonTable(input: DaemonTableInput): TableSpec {
  const present = families.filter((family) =>
    input.networks.some(({ address }) => address.family === family),
  )
  return {
    ...daemonTableRef(input.instance),
    comment: tableComment,
    sets: present.flatMap((family) => [
      prefixSet('networks', family, input.networks),
      prefixSet('subnets', family, input.subnets),
    ]),
    chains: [
      ...(input.ipMasq ? [postrouting(present, input.fullyRandom)] : []),
      ...(input.forward ? [forward(present)] : []),
    ],
  }
}

function prefixSet(
  name: 'networks' | 'subnets',
  family: Family,
  prefixes: readonly Prefix[],
): SetSpec {
  return {
    name: `${name}${family}`,
    key: [family === 4 ? 'ipv4_addr' : 'ipv6_addr'],
    flags: ['interval'],
    elements: newIntervalElements(prefixRanges(prefixes, family), family),
  }
}

function postrouting(present: readonly Family[], fullyRandom: boolean): ChainSpec {
  return {
    name: 'postrouting',
    base: { type: 'nat', hook: 'postrouting', priority: priorities.srcnat, policy: 'accept' },
    rules: [
      masqueradedElsewhere(),
      ...present.flatMap((family) => masqueradeRules(family, fullyRandom)),
    ],
  }
}

/** Flannel's rules two to six, in its order: P is our subnets, N the networks. */
function masqueradeRules(family: Family, fullyRandom: boolean): Rule[] {
  const networks = { name: `networks${family}`, family }
  const subnets = { name: `subnets${family}`, family }
  const not = true
  return [
    // -s P -d N: our containers to the cluster.
    [...addressIn('source', subnets), ...addressIn('destination', networks), verdict('return')],
    // -s N -d P: the cluster to our containers.
    [...addressIn('source', networks), ...addressIn('destination', subnets), verdict('return')],
    // ! -s N -d P: strangers to our containers, such as through a port mapping, keep their address.
    [
      ...addressIn('source', networks, { not }),
      ...addressIn('destination', subnets),
      verdict('return'),
    ],
    // -s N ! -d multicast: containers to the world.
    [
      ...addressIn('source', networks),
      ...addressIs('destination', multicast[family], { not }),
      masquerade({ fullyRandom }),
    ],
    // ! -s N -d N: this host, and what it routes, to containers elsewhere, which answer through it.
    [
      ...addressIn('source', networks, { not }),
      ...addressIn('destination', networks),
      masquerade({ fullyRandom }),
    ],
  ].map((expressions) => familyRule(family, expressions))
}

function forward(present: readonly Family[]): ChainSpec {
  const sides = ['source', 'destination'] as const
  return {
    name: 'forward',
    base: { type: 'filter', hook: 'forward', priority: priorities.filter, policy: 'accept' },
    rules: present.flatMap((family) =>
      sides.map((side) => {
        const match = addressIn(side, { name: `networks${family}`, family })
        return familyRule(family, [...match, verdict('accept')])
      }),
    ),
  }
}

function familyRule(family: Family, expressions: readonly Expression[]): Rule {
  return { expressions: [...familyIs(family), ...expressions] }
}
