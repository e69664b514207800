import { isIPv6 } from 'node:net'
import type { ExecutionContext } from 'ava'
import { attemptAt, type Place, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'

/** The ports on which `startEcho` listens. */
export const echoPorts = { tcp: 80, udp: 53 } as const

export type EchoProtocol = keyof typeof echoPorts

// Tells each client the address that the client seems to have, which is how translation shows.
const server = `
const { createServer } = require('node:net')
const plain = (address) => address.replace(/^::ffff:/, '')
const udp = require('node:dgram').createSocket('udp6')
udp.on('message', (_, { address, port }) => udp.send(plain(address), port, address))
udp.bind(${echoPorts.udp}, () => {
  createServer((socket) => socket.end(plain(socket.remoteAddress))).listen(${echoPorts.tcp}, () => console.log('ready'))
})`

const client = `
const [protocol, host, port] = process.argv.slice(1)
const end = (text, code) => { process.stdout.write(text); process.exit(code) }
setTimeout(() => end('no answer', 1), 1500)
if (protocol === 'tcp') {
  require('node:net').connect(Number(port), host).on('data', (data) => end(String(data), 0)).on('error', ({ code }) => end(code, 1))
} else {
  const socket = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (data) => end(String(data), 0)).on('error', ({ code }) => end(code, 1))
  socket.connect(Number(port), host, () => socket.send('?'))
}`

let servers = 0

/** Serves in a place, such as a container's namespace, until the test ends or `stop` is called. */
export async function startEcho(
  t: ExecutionContext,
  place: Place,
  directory: string,
): Promise<{ stop(): Promise<unknown> }> {
  const logFile = `${directory}/echo-${++servers}.log`
  const echo = startAt(place, [process.execPath, '--eval', server], { logFile })
  t.teardown(() => echo.stop('SIGKILL'))
  const isReady = () => echo.log().includes('ready') || !echo.running()
  await until('the echo server to listen', isReady, { timeoutMs: 10_000 })
  if (!echo.running()) throw new Error(`The echo server in ${place.name} ended: ${echo.log()}`)
  return { stop: () => echo.stop('SIGKILL') }
}

/**
 * Asks an echo server, perhaps through a published port; the address it took the asker for, or why
 * it did not answer: `ECONNREFUSED`, or `no answer` within 1.5 s.
 */
export async function ask(
  from: Place,
  protocol: EchoProtocol,
  host: string,
  port: number,
): Promise<string> {
  const command = [process.execPath, '--eval', client, protocol, host, String(port)] as const
  return (await attemptAt(from, command)).stdout
}

/** Asks the addresses, `[protocol, host, port]`, all at once; answers by how they are written in a URL. */
export async function askAll(
  from: Place,
  targets: readonly (readonly [EchoProtocol, string, number])[],
): Promise<Readonly<Record<string, string>>> {
  const pairs = targets.map(async ([protocol, host, port]) => {
    const name = `${protocol}://${isIPv6(host) ? `[${host}]` : host}:${port}`
    return [name, await ask(from, protocol, host, port)] as const
  })
  return Object.fromEntries(await Promise.all(pairs))
}
