// Made from conf/feature-conf.schema.json by scripts/gen-conf.ts; change the schema, not this file.
import type { KeyTree } from '../keys.ts'

export const keys: KeyTree = {
  runtimeConfig: {
    portMappings: { hostPort: {}, containerPort: {}, protocol: {}, hostIP: {} },
    bandwidth: { ingressRate: {}, ingressBurst: {}, egressRate: {}, egressBurst: {} },
  },
  backend: {},
  snat: {},
  markMasqBit: {},
  externalSetMarkChain: {},
  conditionsV4: {},
  conditionsV6: {},
  masqAll: {},
  ingressRate: {},
  ingressBurst: {},
  egressRate: {},
  egressBurst: {},
}
