import { struct } from './struct.ts'
import { u8, u16be } from './wire.ts'

/** struct nfgenmsg, uapi/linux/netfilter/nfnetlink.h: what every message of netfilter begins with. */
export const nfgenmsg = struct({ family: u8, version: u8, resourceId: u16be })
