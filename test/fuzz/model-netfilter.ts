/** Questions to the netfilter side of the model kernel. Its connection tracker tracks nothing. */
import type { Message, Request } from '../../netlink/codec/message.ts'
import { encodeAttrs } from '../../netlink/codec/table.ts'
import { bytes, u32be, u64be } from '../../netlink/codec/wire.ts'
import { messages } from '../../netlink/nftables/codec.ts'
import type { Answer } from './model-kernel.ts'
import { elementKey, elementsOf, type Holder, type Ruleset, read } from './model-ruleset.ts'
import { errnos, isDump } from './model-wire.ts'

const NFTABLES = 10
const CONNTRACK = 1

/** Answers a question. */
export function answerNetfilter(ruleset: Ruleset, { type, flags, payload }: Message): Answer {
  if (type >> 8 === CONNTRACK) return isDump(flags) ? { errno: 0 } : { errno: errnos.ENOENT }
  if (type >> 8 !== NFTABLES) return { errno: errnos.EINVAL }
  const dump = isDump(flags)
  switch (type & 0xff) {
    case messages.getGeneration: {
      const body = encodeAttrs({ id: { type: 1, wire: u32be } }, { id: ruleset.generation })
      return found(messages.newGeneration, [withHeader(0, body)], dump)
    }
    case messages.getTable:
      return showTables(ruleset, payload, dump)
    case messages.getChain:
      return showHolders(
        ruleset,
        { holders: ruleset.chains, type: messages.newChain, nameAttr: 3 },
        payload,
        dump,
      )
    case messages.getSet:
      return showHolders(
        ruleset,
        { holders: ruleset.sets, type: messages.newSet, nameAttr: 2 },
        payload,
        dump,
      )
    case messages.getRule:
      return showRules(ruleset, payload)
    case messages.getElement:
      return showElements(ruleset, payload, dump)
    default:
      return { errno: errnos.EINVAL }
  }
}

function withHeader(family: number, body: Uint8Array): Uint8Array {
  return new Uint8Array([family, 0, 0, 0, ...body])
}

function found(type: number, bodies: readonly Uint8Array[], dump: boolean): Answer {
  if (bodies.length === 0 && !dump) return { errno: errnos.ENOENT }
  const replies = bodies.map(
    (body): Request => ({ type: (NFTABLES << 8) | type, flags: 0, body, op: 'reply' }),
  )
  return { errno: 0, replies }
}

function showTables({ tables }: Ruleset, payload: Uint8Array, dump: boolean): Answer {
  const { family, table } = read(payload, 1)
  const all = [...tables].filter(([key, body]) =>
    dump ? family === 0 || body[0] === family : key === table,
  )
  return found(
    messages.newTable,
    all.map(([, body]) => body),
    dump,
  )
}

interface Kind {
  readonly holders: ReadonlyMap<string, Holder>
  readonly type: number
  readonly nameAttr: number
}

function showHolders(
  { tables }: Ruleset,
  { holders, type, nameAttr }: Kind,
  payload: Uint8Array,
  dump: boolean,
): Answer {
  const { family, table, name, attrs } = read(payload, nameAttr)
  const isOfTable = attrs.has(1)
  if (isOfTable && !tables.has(table)) return { errno: errnos.ENOENT }
  const all = [...holders].filter(([key, one]) => {
    if (!dump) return key === name
    return isOfTable ? one.table === table : family === 0 || one.body[0] === family
  })
  return found(
    type,
    all.map(([, { body }]) => body),
    dump,
  )
}

function showRules({ chains }: Ruleset, payload: Uint8Array): Answer {
  const { table, name, attrs } = read(payload, 2)
  const bodies = [...chains.values()]
    .filter((one) => (attrs.has(2) ? one.name === name : !attrs.has(1) || one.table === table))
    .flatMap(({ held }) =>
      [...held.values()].map(({ body, handle }) => {
        const more = encodeAttrs({ handle: { type: 3, wire: u64be } }, { handle: BigInt(handle) })
        return new Uint8Array([...body, ...more])
      }),
    )
  return found(messages.newRule, bodies, true)
}

/** The attribute that one element is in a list of them. */
const elementRow = { element: { type: 1, wire: { ...bytes, nested: true as const } } }

function showElements({ sets }: Ruleset, payload: Uint8Array, dump: boolean): Answer {
  const { family, name, attrs } = read(payload, 2)
  const set = sets.get(name)
  if (!set) return { errno: errnos.ENOENT }
  const asked = elementsOf(attrs.get(3)).map((element) => elementKey(element))
  const wanted = dump ? [...set.held.values()] : asked.map((key) => set.held.get(key))
  if (wanted.includes(undefined)) return { errno: errnos.ENOENT }
  const list = wanted.flatMap((one) => [
    ...(one ? encodeAttrs(elementRow, { element: one.body }) : []),
  ])
  const table = {
    table: { type: 1, wire: bytes },
    set: { type: 2, wire: bytes },
    elements: { type: 3, wire: { ...bytes, nested: true as const } },
  }
  const body = encodeAttrs(table, {
    table: attrs.get(1),
    set: attrs.get(2),
    elements: new Uint8Array(list),
  })
  return found(messages.newElement, [withHeader(family, body)], dump)
}
