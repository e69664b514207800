import './attaching.ts'
import type { Loaders } from '../call.ts'
import { addChained, chainedStatus, checkChained, deleteChained } from '../chain/chained.ts'
import { readBandwidth, shape, shapeFault, unshape } from '../features/bandwidth.ts'
import { planPorts, readPortMappings } from '../features/port-mappings.ts'
import { publish, publishFault, unpublish } from '../features/publish.ts'

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
