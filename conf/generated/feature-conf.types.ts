// Made from conf/feature-conf.schema.json by scripts/gen-conf.ts; change the schema, not this file.

export type Amount = number
export type Strings = string[]

/**
 * What only some runs read of a configuration: port mappings and bandwidth.
 */
export interface FeatureConf {
  runtimeConfig?: {
    portMappings?: PortMappingConf[]
    bandwidth?: BandwidthConf
    [k: string]: unknown
  }
  backend?: string
  snat?: boolean
  markMasqBit?: number
  externalSetMarkChain?: string
  conditionsV4?: Strings
  conditionsV6?: Strings
  masqAll?: boolean
  ingressRate?: Amount
  ingressBurst?: Amount
  egressRate?: Amount
  egressBurst?: Amount
  [k: string]: unknown
}
export interface PortMappingConf {
  hostPort?: number
  containerPort?: number
  protocol?: string
  hostIP?: string
  [k: string]: unknown
}
export interface BandwidthConf {
  ingressRate?: Amount
  ingressBurst?: Amount
  egressRate?: Amount
  egressBurst?: Amount
  [k: string]: unknown
}
