/** What becomes of packets that a link receives, before anything else sees them. */
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from './codec/message.ts'
import { TC_ACT_STOLEN, TC_U32_TERMINAL, TCA_EGRESS_REDIR, u32Options } from './codec/mirred.ts'
import { decodeBody } from './codec/struct.ts'
import { writeAttr } from './codec/table.ts'
import {
  RTM_GETTFILTER,
  RTM_NEWTFILTER,
  TC_H_INGRESS_FILTERS,
  tcmsg,
  trafficTable,
} from './codec/traffic.ts'
import { encode } from './codec/writer.ts'
import { present } from './present.ts'
import { replaceQdisc } from './qdisc.ts'

/** The bits of a u32 handle that name a filter in one of its tables. */
const U32_NODE = 0xfffff

/** A filter as the kernel shows it. */
export interface Filter {
  readonly index: number
  readonly priority: number
  /** `u32`, `matchall`, `bpf`, ... */
  readonly kind: string
  /** Index of the link that it sends all packets to, if that is what it does. */
  readonly redirectsTo?: number
}

/** Any, so that ours is asked first where somebody else has filters of a usual priority. */
const PRIORITY = 1
/** htons(ETH_P_ALL) */
const ALL_PROTOCOLS = 0x0300

/**
 * Sends all that a link receives through the queue of another, such as an ifb, which hands it back
 * afterwards. To be carried out in this order: the place for the filter, then the filter. Where the
 * link has clsact the first is EINVAL and the second takes effect all the same. Doing it again adds
 * a second filter, which is never asked.
 */
export function redirectIngress(link: {
  readonly index: number
  /** Index of the other link, which has to be up, or packets are lost. */
  readonly to: number
}): [place: Request, filter: Request] {
  return [replaceQdisc({ kind: 'ingress', index: link.index }), addRedirect(link)]
}

function addRedirect({ index, to }: { index: number; to: number }): Request {
  const header = { index, parent: TC_H_INGRESS_FILTERS, info: (PRIORITY << 16) | ALL_PROTOCOLS }
  const parameters = { action: TC_ACT_STOLEN, kind: TCA_EGRESS_REDIR, ifindex: to }
  const options = {
    // One key that compares no bit: every packet is like it.
    selector: { flags: TC_U32_TERMINAL, keyCount: 1 },
    actions: { first: { kind: 'mirred', options: { parameters } } },
  }
  return {
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: encode((out) => {
      tcmsg.write(out, header)
      writeAttr(out, trafficTable.kind, 'u32')
      writeAttr(out, { type: trafficTable.options.type, wire: u32Options }, options)
    }),
    op: `redirect what link ${index} receives to link ${to}`,
  }
}

/** For a dump: the filters of what a link receives. Empty if it has no place for any. */
export function listIngressFilters({ index }: { readonly index: number }): Request<Filter> {
  return {
    type: RTM_GETTFILTER,
    flags: 0,
    body: encode((out) => tcmsg.write(out, { index, parent: TC_H_INGRESS_FILTERS })),
    op: `list filters of link ${index}`,
    decode: (_, payload) => decodeFilter(payload),
  }
}

/** Reads RTM_NEWTFILTER; undefined for what is only the table that filters are kept in. */
function decodeFilter(payload: Uint8Array): Filter | undefined {
  const { header, attrs } = decodeBody(tcmsg, trafficTable, payload)
  const { kind = '', options } = attrs
  const isTable = kind === 'u32' && (header.handle & U32_NODE) === 0
  if (isTable || !options) return undefined
  return present({
    index: header.index,
    priority: header.info >>> 16,
    kind,
    redirectsTo: kind === 'u32' ? redirection(options) : undefined,
  })
}

function redirection(options: Uint8Array): number | undefined {
  const { selector, actions } = u32Options.read(options)
  const { kind, options: mirred } = actions?.first ?? {}
  const isForAll = selector?.keyCount === 1 && selector.keyMask === 0
  if (kind !== 'mirred' || !isForAll) return undefined
  const { parameters } = mirred ?? {}
  return parameters?.kind === TCA_EGRESS_REDIR ? parameters.ifindex : undefined
}
