/** All code of the plugin, in the parts that it asks for. */

import { type Loaders, unloaded } from '../../cni/call.ts'
import { attaching } from '../../cni/parts/attaching.ts'
import { branching } from '../../cni/parts/branching.ts'
import { cleaning } from '../../cni/parts/cleaning.ts'
import { collecting } from '../../cni/parts/collecting.ts'
import { featuring } from '../../cni/parts/featuring.ts'
import { inspecting } from '../../cni/parts/inspecting.ts'
import { readying } from '../../cni/parts/readying.ts'

/** What every run finds there. */
export const atOnce: Loaders = { ...unloaded, ...attaching }

export const everything: Loaders = {
  ...attaching,
  ...inspecting,
  ...featuring,
  ...collecting,
  ...branching,
  ...readying,
  ...cleaning,
}
