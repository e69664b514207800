/**
 * Stands for systemd at a notification socket: binds the path it is given and prints every message
 * on a line of its own. Runs under Bun, which the system calls need.
 */
import { rmSync, writeSync } from 'node:fs'
import { address, check, libc } from '../../sys/libc.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2

const [path = ''] = process.argv.slice(2)
rmSync(path, { force: true })
const text = new TextEncoder().encode(path)
const name = new Uint8Array(2 + text.length)
new DataView(name.buffer).setUint16(0, AF_UNIX, true)
name.set(text, 2)
const fd = check('socket', libc.socket(AF_UNIX, SOCK_DGRAM, 0))
check('bind', libc.bind(fd, address(name), name.length), path)
writeSync(1, 'bound\n')

const message = new Uint8Array(4096)
for (;;) {
  const length = check('recv', libc.recv(fd, address(message), message.length, 0))
  writeSync(1, `${new TextDecoder().decode(message.subarray(0, length))}\n`)
}
