import './attaching.ts'
import type { Loaders } from '../call.ts'
import { collectGarbage } from '../gc.ts'

/** What GC runs: one part, as `attaching`. */
export const collecting: Pick<Loaders, 'gc'> = {
  gc: () => ({ collectGarbage }),
}
