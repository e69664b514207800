import type { AttachmentRecord } from '../../conf/attachment-record.ts'
import { ConfigError, UnsupportedFieldError } from '../../conf/errors.ts'
import { type BandwidthConf, type FeatureConf, parseFeatureConf } from '../../conf/feature-conf.ts'
import type { NetConf } from '../../conf/net-conf.ts'
import type { Connection } from '../../netlink/connection.ts'
import { listIngressFilters } from '../../netlink/filter.ts'
import type { Link } from '../../netlink/link.ts'
import { type Call, keyOf } from '../call.ts'
import { findLink } from '../link.ts'
import { writePart } from '../records/record.ts'
import { amountKeys } from '../target/wanted-features.ts'
import type { Undo } from '../undo.ts'
import { createIfb, findIfb, ifbNameFor, removeIfbs } from './ifb.ts'
import { limitRate, type RateLimit, rateFault, redirectThrough, unlimit } from './rate-limit.ts'

/** What a container may receive (`ingress`) and send (`egress`). */
export interface Bandwidth {
  readonly ingress?: RateLimit
  readonly egress?: RateLimit
}

/**
 * Reads the limits asked for, which are in bits; undefined for none. Those of the configuration
 * win over the runtime's.
 * @throws ConfigError in the reference plugin's words, UnsupportedFieldError for what heddle has not.
 */
export function readBandwidth(conf: NetConf): Bandwidth | undefined {
  const read = parseFeatureConf(conf)
  const wanted = amountKeys.some((key) => read[key] !== undefined)
    ? read
    : (read.runtimeConfig?.bandwidth ?? {})
  refuseSubnets(wanted)
  const ingress = readLimit(wanted.ingressRate, wanted.ingressBurst)
  const egress = readLimit(wanted.egressRate, wanted.egressBurst)
  if (!ingress && !egress) return undefined
  return { ...(ingress && { ingress }), ...(egress && { egress }) }
}

function refuseSubnets(wanted: FeatureConf | BandwidthConf): void {
  for (const key of ['unshapedSubnets', 'shapedSubnets']) {
    const value = wanted[key]
    if (!Array.isArray(value) || value.length === 0) continue
    throw new UnsupportedFieldError(key, value, "heddle shapes all of a container's traffic")
  }
}

/** 2^32 - 1 bytes or more. */
const burstTooLarge = 0xffffffff

function readLimit(rate = 0, burst = 0): RateLimit | undefined {
  if (rate !== 0 && burst === 0) throw limitError('if rate is set, burst must also be set')
  if (rate === 0 && burst !== 0) throw limitError('if burst is set, rate must also be set')
  if (Math.floor(burst / 8) >= burstTooLarge) throw limitError('burst cannot be more than 4GB')
  if (rate === 0) return undefined
  return { rate: Math.max(1, Math.floor(rate / 8)), burst: Math.max(1, Math.floor(burst / 8)) }
}

function limitError(message: string): ConfigError {
  return new ConfigError('runtimeConfig.bandwidth', message)
}

/**
 * Shapes a container's traffic on the host's end of its veth: what it receives by the queue there,
 * what it sends by way of an ifb. Its part of the record is written first. Returns the ifb, if
 * there is one. Taken back by `undo`.
 */
export function shape(
  call: Call,
  host: Connection,
  wanted: { readonly hostVeth: string; readonly bandwidth: Bandwidth },
  undo: Undo,
): Link | undefined {
  const { hostVeth, bandwidth } = wanted
  const key = keyOf(call)
  const veth = findLink(host, hostVeth)
  if (!veth) throw noPeer()
  const ifb = bandwidth.egress && ifbNameFor(host, key, call.deps)
  const shaping = { hostLink: hostVeth, ...(ifb !== undefined && { ifb }) }
  undo.defer(writePart(key, { shaping }))
  undo.defer(() => unshape(call, host, { ...key, shaping }))
  // An earlier ADD of the same attachment, by a runtime that did not wait for its end.
  if (ifb !== undefined && findIfb(host, ifb)) unshape(call, host, { ...key, shaping })
  if (bandwidth.ingress) limitRate(host, veth, bandwidth.ingress)
  if (!bandwidth.egress || ifb === undefined) return undefined
  const made = createIfb(host, { name: ifb, key, mtu: veth.mtu })
  limitRate(host, made, bandwidth.egress)
  redirectThrough(host, { index: veth.index, to: made.index })
  return made
}

/** @throws it in the reference plugin's words. */
export function noPeer(): ConfigError {
  return new ConfigError('prevResult', 'no veth peer of container interface found in host ns')
}

/**
 * Ends that: by the record, else by the names that the attachment's ifb may have. That there is
 * nothing is success.
 */
export function unshape(call: Call, host: Connection, record: AttachmentRecord | undefined): void {
  const { shaping } = record ?? {}
  const veth = shaping && findLink(host, shaping.hostLink)
  if (veth) unlimit(host, veth)
  removeIfbs(host, keyOf(call), shaping?.ifb, call.deps)
}

/** Says what the shaping lacks, for CHECK. */
export function shapeFault(
  call: Call,
  host: Connection,
  { shaping }: AttachmentRecord,
): string | undefined {
  const { ingress, egress } = readBandwidth(call.conf) ?? {}
  if (!shaping) return ingress || egress ? 'its bandwidth is not limited' : undefined
  const veth = findLink(host, shaping.hostLink)
  if (!veth) return `${shaping.hostLink}, on which its bandwidth is limited, is not there`
  const fault = ingress && rateFault(host, veth, ingress)
  if (fault !== undefined || !egress) return fault
  const ifb = shaping.ifb === undefined ? undefined : findIfb(host, shaping.ifb)
  if (!ifb) return `ifb ${shaping.ifb ?? ''} for what it sends is not there`
  const isRedirected = host
    .dump(listIngressFilters({ index: veth.index }))
    .some(({ redirectsTo }) => redirectsTo === ifb.index)
  if (!isRedirected) return `${veth.name} does not send what it receives to ${ifb.name}`
  return rateFault(host, ifb, egress)
}
