import { closeSync } from './fs.ts'
import { address, libc } from './libc.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0x80000

/**
 * Tells systemd a state, such as `READY=1` (sd_notify(3)). `socketPath` is `$NOTIFY_SOCKET`; a
 * leading `@` names an abstract socket. False when it could not be told, which is never fatal.
 */
export function sdNotify(socketPath: string | undefined, state: string): boolean {
  if (!socketPath || !/^[@/]/.test(socketPath)) return false
  const path = new TextEncoder().encode(socketPath)
  if (path.length > 107) return false
  const name = new Uint8Array(2 + path.length)
  new DataView(name.buffer).setUint16(0, AF_UNIX, true)
  name.set(path, 2)
  if (socketPath.startsWith('@')) name[2] = 0
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return false
  const text = new TextEncoder().encode(state)
  const sent = libc.sendto(fd, address(text), text.length, 0, address(name), name.length)
  closeSync(fd)
  return sent === text.length
}
