import { attachMasquerade, detachMasquerade, missingMasquerade } from '../firewall/masquerade.ts'
import type { Loaders } from './call.ts'
import { check } from './check.ts'
import { addLoopback, checkLoopback, deleteLoopback } from './loopback.ts'
import { status } from './status.ts'

/** What the other verbs run, and the loopback plugin: one part, as `attaching`. */
export const inspecting: Pick<Loaders, 'check' | 'status' | 'loopback' | 'firewall'> = {
  check: () => ({ check }),
  status: () => ({ status }),
  loopback: () => ({ addLoopback, deleteLoopback, checkLoopback }),
  firewall: () => ({ attachMasquerade, detachMasquerade, missingMasquerade }),
}
