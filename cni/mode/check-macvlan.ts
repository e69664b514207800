import type { Link } from '../../netlink/link.ts'
import { CheckFailed } from '../errors.ts'
import { checkContainerLink, checkMtu, type Sides, type Subject } from './check-link.ts'
import { parentOf } from './macvlan-parent.ts'

/** Checks the interface of mode macvlan and the parent that it is on. Returns the interface. */
export function checkMacvlan({ host, inside }: Sides, subject: Subject): Link {
  const { master, macvlanMode } = subject.target.conf
  const link = checkContainerLink(inside, subject, 'macvlan')
  const parent = parentOf(host, master || undefined)
  if (!parent) throw new CheckFailed(`master ${master ?? 'of the default route'} is not there`)
  if (link.linkIndex !== parent.index) {
    throw new CheckFailed(`interface ${link.name} is not on master ${parent.name}`)
  }
  if (!parent.up) throw new CheckFailed(`master ${parent.name} is down`)
  const mode = macvlanMode || 'bridge'
  if (link.macvlan?.mode !== mode) {
    throw new CheckFailed(`interface ${link.name} is in mode ${link.macvlan?.mode}, not ${mode}`)
  }
  checkMtu(subject, link, parent.mtu)
  return link
}
