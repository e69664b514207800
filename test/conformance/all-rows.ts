import { addRows } from './add-rows.ts'
import { argsRows } from './args-rows.ts'
import { bridgeScenarios } from './bridge-scenarios.ts'
import { chainedScenarios } from './chained-scenarios.ts'
import { checkRows } from './check-rows.ts'
import { delRows } from './del-rows.ts'
import { delegationRows } from './delegation-rows.ts'
import { environmentRows } from './environment-rows.ts'
import { errorRows } from './error-rows.ts'
import { gcRows } from './gc-rows.ts'
import { resultRows } from './result-rows.ts'
import type { Row } from './rows.ts'
import { statusRows } from './status-rows.ts'
import { stdinRows, versionRows } from './stdin-rows.ts'

/** What is tried of the protocol alone. */
export const protocolRows: readonly Row[] = [
  ...environmentRows,
  ...stdinRows,
  ...versionRows,
  ...errorRows,
]

/** What is tried of ADD, DEL and CHECK. */
export const verbRows: readonly Row[] = [
  ...resultRows,
  ...addRows,
  ...delRows,
  ...checkRows,
  ...bridgeScenarios,
  ...chainedScenarios,
]

/** What is tried of GC and STATUS, of delegates and of CNI_ARGS. */
export const upkeepRows: readonly Row[] = [...gcRows, ...statusRows, ...delegationRows, ...argsRows]

export const allRows: readonly Row[] = [...protocolRows, ...verbRows, ...upkeepRows]
