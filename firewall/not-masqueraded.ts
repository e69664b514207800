/** What neither of our tables masquerades. */
import type { Family } from '../ip/address.ts'
import type { Prefix } from '../ip/prefix.ts'
import { markIs, verdict } from '../netlink/nftables/match.ts'
import type { Rule } from '../netlink/nftables/rule.ts'

/** Set on packets by others (kube-proxy, the portmap plugin) who masquerade them themselves. */
const MASQUERADED_MARK = 0x4000

/** `meta mark & 0x4000 == 0x4000 return`: flannel's first rule, and ours. */
export function masqueradedElsewhere(): Rule {
  return { expressions: [...markIs(MASQUERADED_MARK, MASQUERADED_MARK), verdict('return')] }
}

/** 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291 section 2.7). */
export const multicast: Readonly<Record<Family, Prefix>> = {
  4: { address: { family: 4, value: 0xe0000000n }, length: 4 },
  6: { address: { family: 6, value: 0xff000000000000000000000000000000n }, length: 8 },
}
