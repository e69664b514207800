/** Queueing disciplines: how fast, and in which order, packets leave a link. */

import { NLM_F_CREATE, NLM_F_REPLACE, type Request } from './codec/message.ts'
import { decodeBody } from './codec/struct.ts'
import { type Row, writeAttr } from './codec/table.ts'
import {
  fifo,
  fqCodel,
  LINKLAYER_ETHERNET,
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_NEWQDISC,
  TC_H_INGRESS,
  TC_H_ROOT,
  tbf,
  tcmsg,
  trafficTable,
} from './codec/traffic.ts'
import { encode } from './codec/writer.ts'
import { present } from './present.ts'

/** Not faster than a rate; what comes faster waits in the queue beneath, 1 of its classes. */
export interface Tbf {
  readonly kind: 'tbf'
  /** Bytes per second. */
  readonly rate: number
  /**
   * Bytes that may go at once after a pause, up to 4 GiB. No packet larger than this ever passes,
   * so it has to be the link's MTU and its header at least.
   */
  readonly burst: number
  /** Bytes of the queue that is made with it (bfifo). */
  readonly limit: number
}

/** A fair queue for each flow, that drops early. */
export interface FqCodel {
  readonly kind: 'fq_codel'
  /** Packets in all. */
  readonly limit?: number
  readonly flows?: number
  readonly targetMicroseconds?: number
  readonly intervalMicroseconds?: number
  /** Bytes a flow may send in its turn. */
  readonly quantum?: number
  /** Bytes in all. */
  readonly memoryLimit?: number
  readonly ecn?: boolean
}

/** First in, first out, in bytes. */
export interface Bfifo {
  readonly kind: 'bfifo'
  readonly limit: number
}

/** No queue, but a place for filters of what comes in; clsact also of what goes out. */
export interface Classifying {
  readonly kind: 'ingress' | 'clsact'
}

type Discipline = Tbf | FqCodel | Bfifo | Classifying

/** Where a qdisc is, or shall be. */
interface Place {
  /** The link's number. */
  readonly index: number
  /** `handle()` of the class it is the queue of; the link itself if absent. */
  readonly parent?: number | undefined
  /** Its own name, `handle(MAJOR)`; the kernel's choice if absent. */
  readonly handle?: number | undefined
}

export type QdiscSpec = Place & Discipline

/** A qdisc as the kernel shows it. */
export interface Qdisc {
  readonly index: number
  readonly handle: number
  /** Absent for one that is the link's own. */
  readonly parent?: number
  readonly kind: string
  /** `burst` is what the kernel's ticks of 64 ns make of it: not to the byte. */
  readonly tbf?: Omit<Tbf, 'kind'>
  readonly fqCodel?: Omit<FqCodel, 'kind'>
  readonly bfifo?: Omit<Bfifo, 'kind'>
}

/** `MAJOR:MINOR`, as tc writes it in hexadecimal. */
export function handle(major: number, minor = 0): number {
  return ((major << 16) | minor) >>> 0
}

/**
 * `tc qdisc replace`: instead of what is in this place. ENOENT when the kernel does not have this
 * kind, or has no such parent; EINVAL for an ingress where clsact is, and the other way round.
 */
export function replaceQdisc(spec: QdiscSpec): Request {
  return {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: encode((out) => {
      tcmsg.write(out, placeOf(spec))
      writeAttr(out, trafficTable.kind, spec.kind)
      writeOptions(out, spec)
    }),
    op: `set ${spec.kind} on link ${spec.index}`,
  }
}

function placeOf({ kind, index, parent, handle: own }: QdiscSpec) {
  if (kind === 'ingress' || kind === 'clsact') {
    return { index, parent: TC_H_INGRESS, handle: handle(0xffff) }
  }
  return { index, parent: parent ?? TC_H_ROOT, handle: own }
}

function writeOptions(out: Parameters<typeof writeAttr>[0], spec: Discipline): void {
  const row = <T>(wire: Row<T>['wire']) => ({ type: trafficTable.options.type, wire })
  switch (spec.kind) {
    case 'tbf':
      writeAttr(out, row(tbf), tbfAttrs(spec))
      break
    case 'bfifo':
      writeAttr(out, row(fifo), { limit: spec.limit })
      break
    case 'fq_codel':
      writeAttr(out, row(fqCodel), fqCodelAttrs(spec))
      break
    case 'ingress':
    case 'clsact':
      break
  }
}

/** PSCHED_SHIFT: the kernel counts the bucket's content in ticks of 64 ns. */
const TICK_NANOSECONDS = 64

function tbfAttrs({ rate, burst, limit }: Tbf) {
  const isWide = rate > 0xffffffff
  return present({
    parameters: {
      linklayer: LINKLAYER_ETHERNET,
      rate: isWide ? 0xffffffff : rate,
      limit: Math.min(limit, 0xffffffff),
      // Only kernels before 3.14 go by it.
      buffer: Math.min(Math.ceil(((burst / rate) * 1e9) / TICK_NANOSECONDS), 0xffffffff),
    },
    rate64: isWide ? BigInt(rate) : undefined,
    burst: Math.min(burst, 0xffffffff),
  })
}

function fqCodelAttrs(spec: FqCodel) {
  const { limit, flows, quantum, memoryLimit, ecn } = spec
  return present({
    target: spec.targetMicroseconds,
    limit,
    interval: spec.intervalMicroseconds,
    ecn: ecn === undefined ? undefined : Number(ecn),
    flows,
    quantum,
    memoryLimit,
  })
}

/**
 * `tc qdisc del`: the qdisc in this place, and all beneath it. ENOENT if there is none but the
 * kernel's own.
 */
export function deleteQdisc(place: {
  readonly index: number
  /** As in `QdiscSpec`; `ingress` for that or clsact. */
  readonly parent?: number | 'ingress' | undefined
}): Request {
  const { index, parent = TC_H_ROOT } = place
  const header = { index, parent: parent === 'ingress' ? TC_H_INGRESS : parent }
  return {
    type: RTM_DELQDISC,
    flags: 0,
    body: encode((out) => tcmsg.write(out, header)),
    op: `delete the qdisc of link ${index}`,
  }
}

/** For a dump: the qdiscs of one link, or of all; without those that the kernel chose by itself. */
export function listQdiscs(filter: { readonly index?: number } = {}): Request<Qdisc> {
  const { index } = filter
  return {
    type: RTM_GETQDISC,
    flags: 0,
    body: encode((out) => tcmsg.write(out, { index })),
    op: index === undefined ? 'list qdiscs' : `list qdiscs of link ${index}`,
    decode(_, payload) {
      const qdisc = decodeQdisc(payload)
      return index === undefined || qdisc.index === index ? qdisc : undefined
    },
  }
}

/** Reads RTM_NEWQDISC. Throws `RangeError` on bytes it cannot be. */
function decodeQdisc(payload: Uint8Array): Qdisc {
  const { header, attrs } = decodeBody(tcmsg, trafficTable, payload)
  const { kind = '', options } = attrs
  const isTop = header.parent === TC_H_ROOT || header.parent === TC_H_INGRESS
  return present({
    index: header.index,
    handle: header.handle,
    parent: isTop ? undefined : header.parent,
    kind,
    ...(options && decodeOptions(kind, options)),
  })
}

function decodeOptions(kind: string, options: Uint8Array) {
  if (kind === 'bfifo') return { bfifo: { limit: fifo.read(options).limit } }
  if (kind === 'tbf') return { tbf: readTbf(options) }
  if (kind === 'fq_codel') return { fqCodel: readFqCodel(options) }
  return {}
}

function readTbf(options: Uint8Array) {
  const { parameters, rate64 } = tbf.read(options)
  const rate = rate64 === undefined ? (parameters?.rate ?? 0) : Number(rate64)
  const seconds = ((parameters?.buffer ?? 0) * TICK_NANOSECONDS) / 1e9
  return { rate, burst: Math.round(seconds * rate), limit: parameters?.limit ?? 0 }
}

function readFqCodel(options: Uint8Array) {
  const { target, interval, ecn, ...same } = fqCodel.read(options)
  return present({
    ...same,
    targetMicroseconds: target,
    intervalMicroseconds: interval,
    ecn: ecn === undefined ? undefined : ecn !== 0,
  })
}
