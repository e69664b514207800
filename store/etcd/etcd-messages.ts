import {
  bool,
  bytes,
  decodeMessage,
  encodeMessage,
  id,
  int,
  type Message,
  message,
  type Table,
  text,
} from './protobuf.ts'

/*
 * The part of the etcd v3 API that heddle speaks: api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto.
 * Keys are bytes there; ours are text, except for the end of a range.
 */

const header = {
  clusterId: { field: 1, wire: id },
  revision: { field: 3, wire: int },
} as const

const keyValue = {
  key: { field: 1, wire: text },
  modRevision: { field: 3, wire: int },
  value: { field: 5, wire: text },
  lease: { field: 6, wire: id },
} as const
export type KeyValue = Message<typeof keyValue>

const rangeRequest = {
  key: { field: 1, wire: bytes },
  rangeEnd: { field: 2, wire: bytes },
  revision: { field: 4, wire: int },
} as const

const rangeResponse = {
  header: { field: 1, wire: message(header) },
  kvs: { field: 2, wire: message(keyValue), repeated: true },
} as const

const putRequest = {
  key: { field: 1, wire: text },
  value: { field: 2, wire: text },
  lease: { field: 3, wire: id },
  prevKv: { field: 4, wire: bool },
} as const

const putResponse = {
  prevKv: { field: 2, wire: message(keyValue) },
} as const

const deleteRangeRequest = {
  key: { field: 1, wire: text },
  prevKv: { field: 3, wire: bool },
} as const

const deleteRangeResponse = {
  prevKvs: { field: 3, wire: message(keyValue), repeated: true },
} as const

/** Compares for equality, `Compare.result` 0, which is the default and not sent. */
const compare = {
  target: { field: 2, wire: int },
  key: { field: 3, wire: text },
  version: { field: 4, wire: int },
  modRevision: { field: 6, wire: int },
} as const

/** Values of `Compare.target`. */
export const COMPARE_VERSION = 0
export const COMPARE_MOD = 2

const requestOp = {
  put: { field: 2, wire: message(putRequest) },
  deleteRange: { field: 3, wire: message(deleteRangeRequest) },
} as const

const responseOp = {
  put: { field: 2, wire: message(putResponse) },
  deleteRange: { field: 3, wire: message(deleteRangeResponse) },
} as const

const txnRequest = {
  compare: { field: 1, wire: message(compare), repeated: true },
  success: { field: 2, wire: message(requestOp), repeated: true },
} as const
export type TxnRequest = Message<typeof txnRequest>

const txnResponse = {
  header: { field: 1, wire: message(header) },
  succeeded: { field: 2, wire: bool },
  responses: { field: 3, wire: message(responseOp), repeated: true },
} as const
export type TxnResponse = Message<typeof txnResponse>

const leaseGrantRequest = { ttl: { field: 1, wire: int } } as const

const leaseGrantResponse = {
  id: { field: 2, wire: id },
  ttl: { field: 3, wire: int },
} as const

const leaseRequest = { id: { field: 1, wire: id } } as const

const leaseTimeToLiveRequest = {
  id: { field: 1, wire: id },
  keys: { field: 2, wire: bool },
} as const

const leaseTimeToLiveResponse = {
  keys: { field: 5, wire: text, repeated: true },
} as const

const authenticateRequest = {
  name: { field: 1, wire: text },
  password: { field: 2, wire: text },
} as const

const authenticateResponse = { token: { field: 2, wire: text } } as const

const watchCreateRequest = {
  key: { field: 1, wire: bytes },
  rangeEnd: { field: 2, wire: bytes },
  startRevision: { field: 3, wire: int },
  progressNotify: { field: 4, wire: bool },
} as const

const watchRequest = { create: { field: 1, wire: message(watchCreateRequest) } } as const

const event = {
  type: { field: 1, wire: int },
  kv: { field: 2, wire: message(keyValue) },
} as const

/** The value of `Event.type` that is not a put. */
export const EVENT_DELETE = 1

const watchResponse = {
  header: { field: 1, wire: message(header) },
  created: { field: 3, wire: bool },
  canceled: { field: 4, wire: bool },
  compactRevision: { field: 5, wire: int },
  cancelReason: { field: 6, wire: text },
  events: { field: 11, wire: message(event), repeated: true },
} as const
export type WatchResponse = Message<typeof watchResponse>

/** One remote procedure: its path and how its messages are carried. */
export interface Method<Q, R> {
  readonly path: string
  /** Whether asking again is harmless when nobody knows what became of the first request. */
  readonly repeatable: boolean
  readonly encode: (request: Q) => Buffer
  readonly decode: (response: Uint8Array) => R
}

function method<Q extends Table, R extends Table>(
  path: string,
  request: Q,
  response: R,
): Method<Message<Q>, Message<R>> {
  return {
    path: `/etcdserverpb.${path}`,
    repeatable: path !== 'KV/Txn',
    encode: (values) => Buffer.from(encodeMessage(request, values)),
    decode: (data) => decodeMessage(response, data),
  }
}

export const methods = {
  range: method('KV/Range', rangeRequest, rangeResponse),
  txn: method('KV/Txn', txnRequest, txnResponse),
  leaseGrant: method('Lease/LeaseGrant', leaseGrantRequest, leaseGrantResponse),
  leaseRevoke: method('Lease/LeaseRevoke', leaseRequest, {}),
  leaseTimeToLive: method('Lease/LeaseTimeToLive', leaseTimeToLiveRequest, leaseTimeToLiveResponse),
  authenticate: method('Auth/Authenticate', authenticateRequest, authenticateResponse),
  watch: method('Watch/Watch', watchRequest, watchResponse),
} as const

const encoder = new TextEncoder()

/** The key range of a prefix: etcd's `key` and `range_end`. */
export function prefixRange(prefix: string): { key: Uint8Array; rangeEnd: Uint8Array } {
  // A single zero byte stands for the first key, and as an end for all keys from there on.
  if (prefix === '') return { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) }
  const key = encoder.encode(prefix)
  const rangeEnd = key.slice()
  // No byte of UTF-8 is 0xff, so the last one can always be counted up.
  rangeEnd[rangeEnd.length - 1] = (rangeEnd.at(-1) ?? 0) + 1
  return { key, rangeEnd }
}

export function keyRange(key: string): { key: Uint8Array } {
  return { key: encoder.encode(key) }
}
