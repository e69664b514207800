/**
 * What the plugin does to the firewall for one attachment. Attaching takes one transaction once
 * the network's sets are there: it is tried at once, and what the kernel refuses tells what to
 * make first. See `masquerade-pool.ts` for the table's form.
 */
import { type Address, addressToBytes, formatAddress } from '../ip/address.ts'
import type { Request } from '../netlink/codec/message.ts'
import type { Connection } from '../netlink/connection.ts'
import { isErrno, type NetlinkError } from '../netlink/errors.ts'
import {
  addElements,
  deleteElements,
  getElement,
  listElements,
  type SetElement,
  type SetRef,
} from '../netlink/nftables/element.ts'
import { renderRule } from '../netlink/nftables/render-rule.ts'
import { listRules } from '../netlink/nftables/rule.ts'
import { listSets } from '../netlink/nftables/set.ts'
import { tryTransaction } from '../netlink/nftables/transaction.ts'
import {
  exemptSetOf,
  hostElements,
  hostsPrefix,
  type Masquerade,
  type Owner,
  ownerTag,
  poolsOf,
  postrouting,
} from './masquerade-pool.ts'
import { createPools, poolRule } from './masquerade-table.ts'
import { pluginTable } from './plugin-parts.ts'

/** More rounds than this mean that somebody works against us. */
const ATTEMPTS = 10

/** An element to add: one message each, so that the answers tell which of them is refused. */
interface Place {
  readonly hosts: SetRef
  readonly element: SetElement
  /** There is one with its key, of an owner that went without DEL, or of this one, tried again. */
  isTaken: boolean
}

/**
 * Masquerades what the container sends to the world. Doing it again changes nothing; an address
 * that another owner left behind changes hands. Throws `NetlinkError` or `FirewallVersionError`,
 * with nothing attached.
 */
export function attachMasquerade(connection: Connection, attachment: Masquerade): void {
  const pools = poolsOf(attachment)
  const places = pools.flatMap((pool) =>
    hostElements(pool, attachment).map(
      (element): Place => ({ hosts: pool.hosts, element, isTaken: false }),
    ),
  )
  for (let attempt = 1; ; attempt++) {
    const steps = places.flatMap((place) => attachSteps(place))
    const requests = steps.map(({ request }) => request)
    const errors = tryTransaction(connection, requests)
    const error = errors.find(Boolean)
    if (!error) return
    if (attempt === ATTEMPTS) throw error
    if (learn(steps, errors) === 'no pool') createPools(connection, pools)
  }
}

function attachSteps(place: Place): { place: Place; request: Request }[] {
  const { hosts, element, isTaken } = place
  return [
    ...(isTaken ? deleteElements(hosts, [element]) : []),
    ...addElements(hosts, [element], { exclusive: true }),
  ].map((request) => ({ place, request }))
}

/** Notes for the next attempt what the refusals tell, or throws one that no attempt can help. */
function learn(
  steps: readonly { place: Place }[],
  errors: readonly (NetlinkError | undefined)[],
): 'no pool' | undefined {
  let lacking: 'no pool' | undefined
  for (const [index, { place }] of steps.entries()) {
    const error = errors[index]
    if (!error) continue
    if (isErrno(error, 'EEXIST', 'EBUSY')) place.isTaken = true
    else if (!isErrno(error, 'ENOENT')) throw error
    else if (place.isTaken) place.isTaken = false
    else lacking = 'no pool'
  }
  return lacking
}

/**
 * Ends what `attachMasquerade` began. Only what carries the owner's tag goes, so an address that
 * has a new owner stays; nothing there is success. With the addresses, as the attachment's record
 * has them, it does not read the whole network.
 */
export function detachMasquerade(
  connection: Connection,
  attachment: Pick<Masquerade, 'network' | 'owner'> & Partial<Pick<Masquerade, 'addresses'>>,
): void {
  const tag = ownerTag(attachment.network, attachment.owner)
  removeElements(connection, attachment, ({ comment }) => comment === tag)
}

/**
 * Removes what is attached to the network by owners that are not among these; returns how many
 * addresses that was. For the CNI verb GC.
 */
export function pruneMasquerade(
  connection: Connection,
  network: string,
  keep: readonly Owner[],
): number {
  const tags = new Set(keep.map((owner) => ownerTag(network, owner)))
  return removeElements(connection, { network }, ({ comment = '' }) => !tags.has(comment))
}

function removeElements(
  connection: Connection,
  where: { network: string; addresses?: readonly Address[] },
  isDoomed: (element: SetElement) => boolean,
): number {
  for (let attempt = 1; ; attempt++) {
    const doomed = hostSets(connection, where.network).map((hosts) => ({
      hosts,
      elements: elementsOf(connection, hosts, where.addresses).filter(isDoomed),
    }))
    const removals = doomed.flatMap(({ hosts, elements }) => deleteElements(hosts, elements))
    const error = tryTransaction(connection, removals).find(Boolean)
    if (!error) return doomed.reduce((sum, { elements }) => sum + elements.length, 0)
    // Another DEL took one of them meanwhile.
    if (attempt === ATTEMPTS || !isErrno(error, 'ENOENT')) throw error
  }
}

/** The sets of a network's hosts, whatever the attachments exempt; none without the table. */
function hostSets(connection: Connection, network: string): SetRef[] {
  const prefixes = [hostsPrefix(network, 4), hostsPrefix(network, 6)]
  return connection
    .dump(listSets(pluginTable))
    .filter(({ name }) => prefixes.some((prefix) => name.startsWith(prefix)))
    .map(({ name }) => ({ table: pluginTable, set: name }))
}

/** What the set holds of these addresses, or all it holds. */
function elementsOf(
  connection: Connection,
  set: SetRef,
  addresses?: readonly Address[],
): SetElement[] {
  if (!addresses) return connection.dump(listElements(set)).flat()
  const isV4 = set.set.startsWith('hosts4')
  const mine = addresses.filter(({ family }) => (family === 4) === isV4)
  const answers = connection.exchange(mine.map((a) => getElement(set, addressToBytes(a))))
  return answers.flatMap(({ error, value }) => {
    if (error && !isErrno(error, 'ENOENT')) throw error
    return value ? [value] : []
  })
}

/**
 * What the firewall lacks of an attachment, in words for an operator; undefined when its traffic
 * is masqueraded. For the CNI verb CHECK.
 */
export function missingMasquerade(
  connection: Connection,
  { network, owner, addresses }: Omit<Masquerade, 'exempt'>,
): string | undefined {
  const table = `nftables table ${pluginTable.family} ${pluginTable.name}`
  const tag = ownerTag(network, owner)
  const sets = hostSets(connection, network)
  const rules = connection
    .dump(listRules(pluginTable, postrouting.name))
    .map(({ rule }) => renderRule(rule, pluginTable.family))
  for (const address of addresses) {
    const { family } = address
    const hosts = sets.find((set) => elementsOf(connection, set, [address])[0]?.comment === tag)
    if (!hosts) return `${table} does not hold ${formatAddress(address)} of ${tag}`
    const exempt = { table: pluginTable, set: exemptSetOf(hosts.set) }
    const rule = renderRule(poolRule({ family, network, hosts, exempt }), pluginTable.family)
    if (!rules.includes(rule)) return `${table} has no rule: ${rule}`
  }
  return undefined
}
