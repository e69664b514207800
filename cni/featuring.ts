import './attaching.ts'
import { readBandwidth, shape, shapeFault, unshape } from './bandwidth.ts'
import type { Loaders } from './call.ts'
import { addChained, chainedStatus, checkChained, deleteChained } from './chained.ts'
import { planPorts, readPortMappings } from './port-mappings.ts'
import { publish, publishFault, unpublish } from './publish.ts'

export const features = {
  readPortMappings,
  planPorts,
  publish,
  unpublish,
  publishFault,
  readBandwidth,
  shape,
  unshape,
  shapeFault,
}

/** Ports, shaping, and being chained after the plugin that makes the link: one part. */
export const featuring: Pick<Loaders, 'features' | 'chained'> = {
  features: () => features,
  chained: () => ({ addChained, deleteChained, checkChained, chainedStatus }),
}
