/** Batches of nftables operations, as the model kernel carries them out. */
import { type Message, NLM_F_ACK, NLM_F_EXCL } from '../../netlink/codec/message.ts'
import { u32be, u64be } from '../../netlink/codec/wire.ts'
import { messages, NFNL_MSG_BATCH_END } from '../../netlink/nftables/codec.ts'
import {
  copyOf,
  elementKey,
  elementsOf,
  HEADER,
  type Holder,
  type Ruleset,
  read,
} from './model-ruleset.ts'
import { bytesKey, errnos, rawAttrs } from './model-wire.ts'

/**
 * Carries a batch out, all or nothing. The answers are those that Linux gives: each failure, and
 * what asked for an answer.
 */
export function transact(
  before: Ruleset,
  batch: readonly Message[],
): { ruleset: Ruleset; answers: { message: Message; errno: number }[] } {
  const [begin, ...rest] = batch
  if (!begin) return { ruleset: before, answers: [] }
  const wanted = rawAttrs(begin.payload.subarray(HEADER)).get(1)
  if (wanted && u32be.read(wanted) !== before.generation) {
    return { ruleset: before, answers: [{ message: begin, errno: errnos.ERESTART }] }
  }
  const after = copyOf(before)
  const operations = rest.filter(({ type }) => type !== NFNL_MSG_BATCH_END)
  const answers = operations.map((message) => ({ message, errno: operate(after, message) }))
  const failed = answers.some(({ errno }) => errno !== 0)
  after.generation++
  return {
    ruleset: failed ? before : after,
    answers: answers.filter(({ message, errno }) => errno !== 0 || message.flags & NLM_F_ACK),
  }
}

function operate(ruleset: Ruleset, message: Message): number {
  const { tables, chains, sets } = ruleset
  switch (message.type & 0xff) {
    case messages.newTable: {
      const { table } = read(message.payload, 1)
      if (tables.has(table)) return message.flags & NLM_F_EXCL ? errnos.EEXIST : 0
      tables.set(table, message.payload.slice())
      return 0
    }
    case messages.deleteTable:
      return deleteTable(ruleset, message.payload)
    case messages.newChain:
      return addHolder(tables, chains, message, 3)
    case messages.newSet:
      return addHolder(tables, sets, message, 2)
    case messages.newRule:
      return addRule(ruleset, message.payload)
    case messages.newElement:
      return addElements(ruleset, message)
    default:
      return operateDelete(ruleset, message)
  }
}

function operateDelete({ chains, sets }: Ruleset, { type, payload }: Message): number {
  switch (type & 0xff) {
    case messages.deleteChain:
      return chains.delete(read(payload, 3).name) ? 0 : errnos.ENOENT
    case messages.deleteSet:
      return sets.delete(read(payload, 2).name) ? 0 : errnos.ENOENT
    case messages.deleteRule: {
      const { name, attrs } = read(payload, 2)
      const chain = chains.get(name)
      const handle = attrs.get(3)
      if (!chain) return errnos.ENOENT
      if (handle) return chain.held.delete(String(u64be.read(handle))) ? 0 : errnos.ENOENT
      chain.held.clear()
      return 0
    }
    case messages.deleteElement: {
      const { name, attrs } = read(payload, 2)
      const set = sets.get(name)
      if (!set) return errnos.ENOENT
      if (!attrs.has(3)) set.held.clear()
      const keys = elementsOf(attrs.get(3)).map(elementKey)
      return keys.every((key) => set.held.delete(key)) ? 0 : errnos.ENOENT
    }
    default:
      return errnos.EINVAL
  }
}

function deleteTable({ tables, chains, sets }: Ruleset, payload: Uint8Array): number {
  const { table } = read(payload, 1)
  if (!tables.delete(table)) return errnos.ENOENT
  for (const holders of [chains, sets]) {
    for (const [key, one] of holders) if (one.table === table) holders.delete(key)
  }
  return 0
}

function addHolder(
  tables: ReadonlyMap<string, unknown>,
  holders: Map<string, Holder>,
  { flags, payload }: Message,
  nameAttr: number,
): number {
  const { table, name } = read(payload, nameAttr)
  if (!tables.has(table)) return errnos.ENOENT
  if (holders.has(name)) return flags & NLM_F_EXCL ? errnos.EEXIST : 0
  holders.set(name, { table, name, body: payload.slice(), held: new Map() })
  return 0
}

function addRule(ruleset: Ruleset, payload: Uint8Array): number {
  const chain = ruleset.chains.get(read(payload, 2).name)
  if (!chain) return errnos.ENOENT
  const handle = ruleset.nextHandle++
  chain.held.set(String(handle), { body: payload.slice(), handle })
  return 0
}

function addElements(ruleset: Ruleset, { flags, payload }: Message): number {
  const { name, attrs } = read(payload, 2)
  const set = ruleset.sets.get(name)
  if (!set) return errnos.ENOENT
  for (const element of elementsOf(attrs.get(3))) {
    const key = elementKey(element)
    const there = set.held.get(key)
    if (there && flags & NLM_F_EXCL) return errnos.EEXIST
    if (!there) set.held.set(key, { body: element.slice(), handle: 0 })
    else if (dataOf(there.body) !== dataOf(element)) return errnos.EEXIST
  }
  return 0
}

/** A map's value. */
function dataOf(element: Uint8Array): string {
  return bytesKey(rawAttrs(element).get(2) ?? new Uint8Array(0))
}
