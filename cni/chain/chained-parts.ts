import type { AttachmentParts } from '../../conf/attachment-record.ts'
import type { Call } from '../call.ts'

/** The parts of a record that are a chained plugin's, by its role. */
export function partsOf({ role }: Call): readonly (keyof AttachmentParts)[] {
  if (role === 'portmap') return ['ports']
  return role === 'bandwidth' ? ['shaping'] : ['ports', 'shaping', 'chained']
}
