import './attaching.ts'
import type { Loaders } from '../call.ts'
import { macvlanMode, removeMacvlan } from '../mode/macvlan.ts'
import { ptpMode } from '../mode/ptp.ts'

/** The modes beside bridge: one part. */
export const branching: Pick<Loaders, 'otherwise'> = {
  otherwise: () => ({ ptpMode, macvlanMode, removeMacvlan }),
}
