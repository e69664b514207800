import { attachMasquerade, detachMasquerade, missingMasquerade } from '../../firewall/masquerade.ts'
import { add } from '../add.ts'
import type { Attaching } from '../call.ts'
import { del } from '../del.ts'

/**
 * What ADD and DEL run, as one part of the executable, read at once. By static imports: a module
 * that is only required is wrapped in a function by the bundler, and each part of its own costs a
 * start some 30 µs. The firewall comes along, since reading it apart would cost more than it does.
 *
 * Every part that is loaded later imports this one, though it uses nothing of it: what the parts
 * share with it stays in one piece then, where the bundler would cut it into a piece for each set
 * of parts, all of which a start would read.
 */
export const attaching: Attaching = {
  add: () => ({ add }),
  del: () => ({ del }),
  firewall: () => ({ attachMasquerade, detachMasquerade, missingMasquerade }),
}
