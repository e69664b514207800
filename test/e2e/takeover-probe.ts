/**
 * Both ends of masqueraded traffic, run under Node in a namespace.
 * `takeover-probe.ts serve ADDRESS PORT` answers every byte of a TCP connection and every UDP
 * packet with the address it came from; it prints `ready`.
 * `takeover-probe.ts ask ADDRESS PORT` sends each 10 ms a byte over one connection, and a packet from
 * a port it has not used before; it prints `answered` at the first answer, and after SIGTERM, when
 * the last ones are there, its `Answers` as JSON.
 */
import { createSocket } from 'node:dgram'
import { createConnection, createServer, isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answers } from './takeover-traffic.ts'

const [verb, host = '', port = ''] = process.argv.slice(2)
const family = isIPv6(host) ? 'udp6' : 'udp4'
if (verb === 'serve') serve(Number(port))
else await ask(Number(port))

function serve(at: number): void {
  createServer((socket) => {
    // A client that went is its own affair.
    socket.on('error', () => {})
    const line = `${socket.remoteAddress}\n`
    socket.on('data', (data) => socket.write(line.repeat(data.length)))
  }).listen(at, host)
  const udp = createSocket(family)
  udp.on('message', (_, from) => udp.send(from.address, from.port, from.address))
  udp.bind(at, host, () => process.stdout.write('ready\n'))
}

async function ask(at: number): Promise<void> {
  const stopped = new AbortController()
  process.once('SIGTERM', () => stopped.abort())
  const { signal } = stopped
  const [flow, packets] = await Promise.all([askFlow(at, signal), askPackets(at, signal)])
  const answers: Answers = { flow, packets }
  process.stdout.write(`${JSON.stringify(answers)}\n`)
  process.exit()
}

/** Each byte that is sent is a question, each line that comes back an answer. */
async function askFlow(at: number, signal: AbortSignal): Promise<Answers['flow']> {
  let [asked, text, error] = [0, '', '']
  const lines = () => text.split('\n').slice(0, -1)
  const socket = createConnection({ host, port: at, noDelay: true })
  socket.once('data', () => process.stdout.write('answered\n'))
  socket.on('data', (data) => (text += data.toString()))
  socket.on('error', ({ message }) => (error = message))
  while (!signal.aborted) {
    socket.write('?')
    asked++
    await sleep(10)
  }
  await untilOver(() => lines().length === asked || error !== '')
  return { asked, answered: lines().length, error, sources: [...new Set(lines())] }
}

async function askPackets(at: number, signal: AbortSignal): Promise<Answers['packets']> {
  const sources = new Set<string>()
  let [asked, answered] = [0, 0]
  while (!signal.aborted) {
    const socket = createSocket(family)
    socket.on('message', (data) => {
      answered++
      sources.add(data.toString())
      socket.close()
    })
    // No way to send it is an answer that never comes.
    socket.on('error', () => {})
    socket.send('?', at, host)
    asked++
    await sleep(10)
  }
  await untilOver(() => answered === asked)
  return { asked, answered, sources: [...sources] }
}

/** What takes three seconds is lost. */
async function untilOver(isOver: () => boolean): Promise<void> {
  const deadline = Date.now() + 3_000
  while (!isOver() && Date.now() < deadline) await sleep(20)
}
