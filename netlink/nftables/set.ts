import type { Request } from '../codec/message.ts'
import {
  type CreateOptions,
  createFlags,
  decodeMessage,
  describe,
  ENOENT,
  message,
  setTable,
  type TableRef,
} from './codec.ts'
import {
  byteOrderNumber,
  type DataType,
  dataTypeFromNumber,
  dataTypeLength,
  dataTypeNumber,
  partLengths,
} from './data-type.ts'

/** NFT_SET_*: the kinds of a set that its maker chooses. */
const setFlags = { constant: 2, interval: 4 } as const
type SetFlag = keyof typeof setFlags

const NFT_SET_MAP = 8
const NFT_SET_CONCAT = 0x80
/** NFT_DATA_VERDICT as a set's data type: the values are verdicts. */
const VERDICT_TYPE = 0xffffff00

/** A set, or with `data` a map. */
export interface NftSet {
  readonly name: string
  readonly key: DataType
  readonly data?: DataType | 'verdict'
  /** In the order of the kernel's bits: constant, interval. */
  readonly flags: readonly SetFlag[]
  readonly comment?: string
}

/**
 * Identifies a set inside one transaction. nft_lookup finds the set by its name as well, so the
 * only duty of this number is to be there.
 */
const SET_ID = 1

/** Makes a set. Without `exclusive`, an equal one that is there stays, elements and all. */
export function addSet(table: TableRef, set: NftSet, options: CreateOptions = {}): Request {
  const { name, key, data, comment } = set
  const concatenated = set.flags.includes('interval') && key.length > 1
  let flags = data === undefined ? 0 : NFT_SET_MAP
  for (const flag of set.flags) flags |= setFlags[flag]
  const fields = partLengths(key).map((length) => ({ length }))
  const attrs = {
    table: table.name,
    name,
    flags: concatenated ? flags | NFT_SET_CONCAT : flags,
    keyType: dataTypeNumber(key),
    keyLength: dataTypeLength(key),
    ...dataAttrs(data),
    id: SET_ID,
    ...(concatenated && { description: { fields } }),
    userdata: {
      keyByteOrder: byteOrderNumber(key),
      ...(data !== undefined && { dataByteOrder: data === 'verdict' ? 0 : byteOrderNumber(data) }),
      ...(comment !== undefined && { comment }),
    },
  }
  const op = describe('add set', table, name)
  return message(
    'newSet',
    table.family,
    { table: setTable, attrs },
    { op, flags: createFlags(options) },
  )
}

function dataAttrs(data: DataType | 'verdict' | undefined) {
  if (data === undefined) return {}
  if (data === 'verdict') return { dataType: VERDICT_TYPE, dataLength: 0 }
  return { dataType: dataTypeNumber(data), dataLength: dataTypeLength(data) }
}

/** Removes a set; EBUSY while a rule looks it up. */
export function deleteSet(table: TableRef, name: string): Request {
  const op = describe('delete set', table, name)
  return message(
    'deleteSet',
    table.family,
    { table: setTable, attrs: { table: table.name, name } },
    { op },
  )
}

/** To be dumped: the sets and maps of a table; none when the table is not there. */
export function listSets(table: TableRef): Request<NftSet> {
  const op = describe('list sets of', table)
  const attrs = { table: table.name }
  return message(
    'getSet',
    table.family,
    { table: setTable, attrs },
    { op, decode, noneErrno: ENOENT },
  )
}

function decode(_type: number, payload: Uint8Array): NftSet {
  const { attrs } = decodeMessage(setTable, payload)
  const { name = '', flags = 0, keyType = 0, dataType, userdata } = attrs
  const names = Object.keys(setFlags) as SetFlag[]
  return {
    name,
    key: dataTypeFromNumber(keyType),
    ...(flags & NFT_SET_MAP &&
      dataType !== undefined && {
        data: dataType === VERDICT_TYPE ? ('verdict' as const) : dataTypeFromNumber(dataType),
      }),
    flags: names.filter((flag) => flags & setFlags[flag]),
    ...(userdata?.comment !== undefined && { comment: userdata.comment }),
  }
}
