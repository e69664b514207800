import { formatPrefix, type Prefix } from '../ip/prefix.ts'
import { listAddresses } from '../netlink/address.ts'
import { Connection } from '../netlink/connection.ts'
import { getLink, setLink } from '../netlink/link.ts'
import type { Call } from './call.ts'
import { renderBefore, resultBefore } from './chain/chain-result.ts'
import { CheckFailed } from './errors.ts'
import { findLink } from './link.ts'
import { isNetnsError, openContainer } from './netns.ts'
import { renderResult } from './protocol/result.ts'
import { Undo } from './undo.ts'

/** The loopback device has this name in every namespace, whatever CNI_IFNAME says. */
const device = 'lo'

/** Brings the container's loopback up; answers with the result before it in the chain, if any. */
export function addLoopback(call: Call): void {
  const before = resultBefore(call)
  inContainer(call, (inside) => {
    using undo = new Undo()
    const addresses = raise(inside, undo)
    call.print(before ? renderBefore(call) : renderOwn(call, addresses))
    undo.forget()
  })
}

function raise(inside: Connection, undo: Undo): Prefix[] {
  const { up, index } = inside.get(getLink({ name: device }))
  if (!up) undo.defer(() => inside.execute(setLink({ index, up: false })))
  inside.execute(setLink({ index, up: true }))
  return inside.dump(listAddresses({ index })).map(({ prefix }) => prefix)
}

function renderOwn({ invocation, version }: Call, addresses: readonly Prefix[]): string {
  const result = {
    interfaces: [{ name: device, mac: '00:00:00:00:00:00', sandbox: invocation.netns }],
    ips: addresses.map((prefix) => ({ address: formatPrefix(prefix), interface: 0 })),
  }
  return renderResult(result, version)
}

/** Takes it down; a namespace that is gone needs nothing. */
export function deleteLoopback(call: Call): void {
  if (call.invocation.netns === '') return
  try {
    inContainer(call, (inside) => inside.execute(setLink({ name: device, up: false })))
  } catch (error) {
    if (!isNetnsError(error)) throw error
  }
}

/** @throws CheckFailed when it is down. */
export function checkLoopback(call: Call): void {
  inContainer(call, (inside) => {
    if (findLink(inside, device)?.up !== true) throw new CheckFailed('loopback interface is down')
  })
}

function inContainer<T>(call: Call, body: (inside: Connection) => T): T {
  const { deps } = call
  using netns = openContainer(call)
  using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
  return body(inside)
}
