// Made from conf/net-conf.schema.json by scripts/gen-conf.ts; change the schema, not this file.

export type Strings = string[]
export type RangeSets = RangeConf[][]

/**
 * What a CNI plugin of heddle reads on standard input. Only forms are checked here; meaning is checked by whoever uses a key. Keys match without regard to case, unknown ones are kept.
 */
export interface NetConf {
  cniVersion?: string
  name?: string
  type?: string
  disableCheck?: boolean
  disableGC?: boolean
  capabilities?: {
    [k: string]: boolean
  }
  args?: {
    cni?: {
      ips?: Strings
      mac?: string
      [k: string]: unknown
    }
    [k: string]: unknown
  }
  runtimeConfig?: {
    ips?: Strings
    mac?: string
    ipRanges?: RangeSets
    portMappings?: {
      [k: string]: unknown
    }[]
    bandwidth?: {
      [k: string]: unknown
    }
    dns?: RuntimeDns
    [k: string]: unknown
  }
  prevResult?: {
    [k: string]: unknown
  }
  dns?: DnsConf
  mode?: string
  bridge?: string
  isGateway?: boolean
  isDefaultGateway?: boolean
  forceAddress?: boolean
  ipMasq?: boolean
  ipMasqBackend?: string
  mtu?: number
  hairpinMode?: boolean
  promiscMode?: boolean
  vlan?: number
  vlanTrunk?: {
    [k: string]: unknown
  }[]
  preserveDefaultVlan?: boolean
  macspoofchk?: boolean
  enabledad?: boolean
  disableContainerInterface?: boolean
  portIsolation?: boolean
  ipam?: IpamConf
  subnetFile?: string
  dataDir?: string
  delegate?: {
    [k: string]: unknown
  }
  chained?: boolean
  master?: string
  macvlanMode?: string
  linkInContainer?: boolean
  bcqueuelen?: number
  [k: string]: unknown
}
export interface RangeConf {
  subnet?: string
  rangeStart?: string
  rangeEnd?: string
  gateway?: string
  [k: string]: unknown
}
export interface RuntimeDns {
  servers?: Strings
  searches?: Strings
  options?: Strings
  [k: string]: unknown
}
export interface DnsConf {
  nameservers?: Strings
  domain?: string
  search?: Strings
  options?: Strings
  [k: string]: unknown
}
export interface IpamConf {
  type?: string
  dataDir?: string
  resolvConf?: string
  routes?: RouteConf[]
  ranges?: RangeSets
  subnet?: string
  rangeStart?: string
  rangeEnd?: string
  gateway?: string
  [k: string]: unknown
}
export interface RouteConf {
  dst: string
  gw?: string
  mtu?: number
  advmss?: number
  priority?: number
  table?: number
  scope?: number
  [k: string]: unknown
}
