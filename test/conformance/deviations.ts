import type { Deviation } from './deviation.ts'
import { protocolDeviations } from './deviations-protocol.ts'
import { resultDeviations } from './deviations-result.ts'
import { upkeepDeviations } from './deviations-upkeep.ts'
import { verbDeviations } from './deviations-verbs.ts'

/** Every known difference; docs/conformance.md has the same table. */
export const deviations: readonly Deviation[] = [
  ...protocolDeviations,
  ...resultDeviations,
  ...verbDeviations,
  ...upkeepDeviations,
]
