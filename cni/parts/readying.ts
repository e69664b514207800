import './attaching.ts'
import type { Loaders } from '../call.ts'
import { acceptForwarding, requireUnused } from '../mode/prepare-bridge.ts'

/** What an ADD needs that makes its bridge, or finds it in need of repair: one part. */
export const readying: Pick<Loaders, 'preparing'> = {
  preparing: () => ({ acceptForwarding, requireUnused }),
}
