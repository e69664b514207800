import './attaching.ts'
import type { Loaders } from '../call.ts'
import { check } from '../check.ts'
import { addLoopback, checkLoopback, deleteLoopback } from '../loopback.ts'
import { status } from '../status.ts'

/** What the other verbs run, and the loopback plugin: one part, as `attaching`. */
export const inspecting: Pick<Loaders, 'check' | 'status' | 'loopback'> = {
  check: () => ({ check }),
  status: () => ({ status }),
  loopback: () => ({ addLoopback, deleteLoopback, checkLoopback }),
}
