import './attaching.ts'
import type { Loaders } from '../call.ts'
import { removeForeignVeth, removeUnrecorded } from '../clean-up/clean-up.ts'

/** What a DEL needs that finds no record of the attachment: one part. */
export const cleaning: Pick<Loaders, 'cleaning'> = {
  cleaning: () => ({ removeForeignVeth, removeUnrecorded }),
}
