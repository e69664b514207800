import type { Request } from '../codec/message.ts'
import type { Attrs } from '../codec/table.ts'
import {
  type CreateOptions,
  createFlags,
  decodeMessage,
  describe,
  ENOENT,
  elementListTable,
  elementTable,
  message,
  type TableRef,
} from './codec.ts'
import type { VerdictName } from './value.ts'

/** NFT_SET_ELEM_INTERVAL_END */
const INTERVAL_END = 1
/** SET_ELEM_F_INTERVAL_OPEN, nft's own mark in userdata: the interval has no end element. */
const INTERVAL_OPEN = 1

/** A map's value. */
type ElementData = Uint8Array | Verdict

/** Where a packet goes next; a number is a verdict without a name here. */
interface Verdict {
  readonly code: VerdictName | number
  /** For jump and goto. */
  readonly chain?: string
}

/**
 * An element of a set or map. An interval set holds each interval as two: its first key, and the
 * key after its last, marked as the end. A concatenated interval has both bounds in one, `keyEnd`
 * being the last key. Keys are as in a register: addresses in network order, concatenations padded
 * to 4 bytes a part.
 */
export interface SetElement {
  readonly key: Uint8Array
  readonly keyEnd?: Uint8Array
  readonly intervalEnd?: true
  /** The interval reaches the end of the key space, so nothing ends it. */
  readonly open?: true
  readonly data?: ElementData
  readonly comment?: string
}

export interface SetRef {
  readonly table: TableRef
  readonly set: string
}

/**
 * One attribute holds at most 64 KiB. With keys of 16 bytes and comments of 128, an element takes
 * less than 200 bytes; with the largest of each, about 600.
 */
const ELEMENTS_PER_MESSAGE = 100

/**
 * Adds elements, as many messages as they need. Without `exclusive`, an element with this key and
 * data may be there already and stays, its comment too. An interval that overlaps another one is
 * EEXIST either way; a map's key with other data too (EBUSY before Linux 6.2).
 */
export function addElements(
  { table, set }: SetRef,
  elements: readonly SetElement[],
  options: CreateOptions = {},
): Request[] {
  const op = describe('add elements to set', table, set)
  const flags = createFlags(options)
  return chunks(elements).map((chunk) =>
    message('newElement', table.family, list(table, set, chunk), { op, flags }),
  )
}

/** Removes elements by their keys; ENOENT when one is not there. */
export function deleteElements({ table, set }: SetRef, elements: readonly SetElement[]): Request[] {
  const op = describe('delete elements of set', table, set)
  return chunks(elements).map((chunk) =>
    message('deleteElement', table.family, list(table, set, chunk), { op }),
  )
}

/** Removes all elements of a set. */
export function flushSet({ table, set }: SetRef): Request {
  const op = describe('flush set', table, set)
  return message('deleteElement', table.family, list(table, set), { op })
}

/** Asks for the element with this key; ENOENT when it, its set or its table is not there. */
export function getElement({ table, set }: SetRef, key: Uint8Array): Request<SetElement> {
  const op = describe('get element of set', table, set)
  return message('getElement', table.family, list(table, set, [{ key }]), {
    op,
    decode: (_, payload) => decode(payload)[0] ?? { key },
  })
}

/**
 * To be dumped, and then flattened: the elements of a set, in no particular order; none when the
 * set or its table is not there.
 */
export function listElements({ table, set }: SetRef): Request<readonly SetElement[]> {
  const op = describe('list elements of set', table, set)
  return message('getElement', table.family, list(table, set), {
    op,
    decode: (_, payload) => decode(payload),
    noneErrno: ENOENT,
  })
}

function list(table: TableRef, set: string, elements?: readonly SetElement[]) {
  const attrs = { table: table.name, set, ...(elements && { elements: elements.map(toAttrs) }) }
  return { table: elementListTable, attrs }
}

function chunks(elements: readonly SetElement[]): (readonly SetElement[])[] {
  const count = Math.ceil(elements.length / ELEMENTS_PER_MESSAGE)
  return Array.from({ length: count }, (_, index) =>
    elements.slice(index * ELEMENTS_PER_MESSAGE, (index + 1) * ELEMENTS_PER_MESSAGE),
  )
}

type ElementAttrs = Attrs<typeof elementTable>

function toAttrs({ key, keyEnd, intervalEnd, open, data, comment }: SetElement): ElementAttrs {
  const userdata = {
    ...(comment !== undefined && { comment }),
    ...(open && { flags: INTERVAL_OPEN }),
  }
  return {
    ...(intervalEnd && { flags: INTERVAL_END }),
    key: { value: key },
    ...(keyEnd && { keyEnd: { value: keyEnd } }),
    ...(data && { data: dataToAttrs(data) }),
    ...((open || comment !== undefined) && { userdata }),
  }
}

function dataToAttrs(data: ElementData) {
  if (data instanceof Uint8Array) return { value: data }
  return { verdict: data }
}

function decode(payload: Uint8Array): SetElement[] {
  return (decodeMessage(elementListTable, payload).attrs.elements ?? []).map(fromAttrs)
}

function fromAttrs({ key, keyEnd, flags = 0, data, userdata }: ElementAttrs): SetElement {
  return {
    key: key?.value ?? new Uint8Array(0),
    ...(keyEnd?.value && { keyEnd: keyEnd.value }),
    ...(flags & INTERVAL_END && { intervalEnd: true as const }),
    ...((userdata?.flags ?? 0) & INTERVAL_OPEN && { open: true as const }),
    ...(data && { data: dataFromAttrs(data) }),
    ...(userdata?.comment !== undefined && { comment: userdata.comment }),
  }
}

function dataFromAttrs({ value, verdict }: NonNullable<ElementAttrs['data']>): ElementData {
  if (!verdict) return value ?? new Uint8Array(0)
  const { code = 'continue', chain } = verdict
  return { code, ...(chain !== undefined && { chain }) }
}
