/**
 * What the reference plugins (bridge, ptp and portmap of containernetworking/plugins) write for one
 * attachment, to take it away when the attachment ends with heddle: the chains of their iptables
 * backends, where iptables-nft keeps them, and the rules of their nftables backends. Chains that
 * attachments share stay, as they do when the plugins clean up themselves.
 */
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { deleteChain, getChain } from '../netlink/nftables/chain.ts'
import type { TableRef } from '../netlink/nftables/codec.ts'
import { deleteRule, listRules, type Rule } from '../netlink/nftables/rule.ts'
import { getGeneration } from '../netlink/nftables/table.ts'
import { applyTransaction } from '../netlink/nftables/transaction.ts'
import { jumpsTo } from './jumps.ts'
import { orNone } from './or-none.ts'
import {
  type ReferenceAttachment,
  type ReferenceDeps,
  referenceChains,
} from './reference-chains.ts'
import { whileUnchanged } from './sync.ts'

/** One place where something may be, and how to remove it. */
interface Trace {
  readonly table: TableRef
  /** When this chain is missing, so is the rest. */
  readonly chain: string
  readonly remove: (connection: Connection, trace: Trace) => Request[]
}

/**
 * Removes what the reference plugins wrote for an attachment, in one transaction. One round trip
 * when there is nothing; false then. Throws `NetlinkError`, with nothing changed.
 */
export function removeReferenceRules(
  connection: Connection,
  attachment: ReferenceAttachment,
  deps: ReferenceDeps,
): boolean {
  const traces = tracesOf(attachment, deps)
  if (traces.length === 0) return false
  return whileUnchanged(() => {
    const [generation, ...answers] = connection.exchange([
      getGeneration(),
      ...traces.map(({ table, chain }) => orNone(getChain(table, chain))),
    ])
    for (const { error } of [generation, ...answers]) {
      if (error) throw error
    }
    const operations = traces.flatMap((trace, index) =>
      answers[index]?.value ? trace.remove(connection, trace) : [],
    )
    applyTransaction(connection, operations, { generation: generation.value ?? 0 })
    return operations.length > 0
  })
}

const families = ['ip', 'ip6'] as const

function tracesOf(attachment: ReferenceAttachment, deps: ReferenceDeps): Trace[] {
  const chains = referenceChains(attachment, deps)
  return [
    ...families.flatMap((family) =>
      chains.map(({ chain, from }) => ({
        table: { family, name: 'nat' },
        chain,
        remove: chainFrom(from),
      })),
    ),
    ...(attachment.masquerade ? [masqueradeTrace(attachment, deps)] : []),
    ...(attachment.ports ? portTraces(attachment) : []),
  ]
}

/** The comment of its rules begins with hashes of the network and of the interface. */
function masqueradeTrace(attachment: ReferenceAttachment, { sha512Hex }: ReferenceDeps): Trace {
  const { network, containerId, ifname } = attachment
  const hash = (text: string) => sha512Hex(text).slice(0, 16)
  const start = `${hash(network)}-${hash(`${ifname}:${containerId}`)}`
  return {
    table: { family: 'inet', name: 'cni_plugins_masquerade' },
    chain: 'masq_checks',
    remove: rulesWhere((comment) => comment.startsWith(start)),
  }
}

/** The comment of these rules is the container's id, whatever the network. */
function portTraces({ containerId }: ReferenceAttachment): Trace[] {
  const remove = rulesWhere((comment) => comment === containerId)
  return families.flatMap((family) =>
    ['hostports', 'hostip_hostports', 'masquerading'].map((chain) => ({
      table: { family, name: 'cni_hostport' },
      chain,
      remove,
    })),
  )
}

/** A chain of the attachment's own, and the rules of another chain that lead to it. */
function chainFrom(from: string): Trace['remove'] {
  return (connection, { table, chain }) => [
    ...removals(connection, { table, chain: from }, (rule) => jumpsTo(rule, chain)),
    deleteRule(table, chain),
    deleteChain(table, chain),
  ]
}

/** Rules in a chain that attachments share, told apart by their comments. */
function rulesWhere(isTheirs: (comment: string) => boolean): Trace['remove'] {
  return (connection, trace) => removals(connection, trace, ({ comment = '' }) => isTheirs(comment))
}

function removals(
  connection: Connection,
  { table, chain }: Pick<Trace, 'table' | 'chain'>,
  isTheirs: (rule: Rule) => boolean,
): Request[] {
  return connection
    .dump(listRules(table, chain))
    .filter(({ rule }) => isTheirs(rule))
    .map(({ handle }) => deleteRule(table, chain, handle))
}
