/**
 * Records what iproute2 and the kernel say to each other into recorded.json, with our own requests
 * beside theirs, for netlink-vectors.test.ts. Look at the difference before you commit it. Needs
 * root, iproute2 and strace: `node test/vectors/netlink/capture.ts`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  PEER,
  type ReplyCase,
  type RequestCase,
  refusals,
  replyCases,
  requestCases,
  undoCases,
} from './cases.ts'
import { trafficCases, trafficReplies, trafficUndoCases } from './traffic-cases.ts'

const namespace = `heddle-vec-${process.pid}`
const peer = `${namespace}-peer`
const folder = mkdtempSync(join(tmpdir(), 'heddle-vectors-'))
const trace = join(folder, 'trace')
const strace = [
  '-o',
  trace,
  '-e',
  'trace=sendmsg,recvmsg,sendto',
  '-e',
  'write=all',
  '-e',
  'read=all',
]

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

interface Recording {
  readonly sent: readonly string[]
  readonly received: readonly string[]
  readonly stdout: string
  readonly status: number | null
}

/** The datagrams in strace's hex dump: a line for the system call, then lines of sixteen bytes. */
function datagrams(): Pick<Recording, 'sent' | 'received'> {
  const found: { call: string; hex: string }[] = []
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const call = /^(sendto|sendmsg|recvmsg)\(/.exec(line)?.[1]
    if (call) found.push({ call, hex: '' })
    const bytes = /^ \| [\da-f]{5} ((?: [\da-f ]{2}){8} (?: [\da-f ]{2}){8})/.exec(line)?.[1]
    const last = found.at(-1)
    if (bytes && last) last.hex += bytes.replaceAll(' ', '')
  }
  const [sent, received] = [/^send/, /^recv/].map((direction) =>
    found
      .filter(({ call, hex }) => direction.test(call) && hex !== '' && !isTrial(hex))
      .map(({ hex }) => hex),
  )
  return { sent: sent ?? [], received: received ?? [] }
}

/** iproute2 first tries out what the kernel can do, by an empty RTM_NEWLINK of number 0. */
function isTrial(hex: string): boolean {
  return hex.slice(16, 24) === '00000000' && (hex.startsWith('20000000') || typeOf(hex) === 2)
}

function record(command: string, ...flags: string[]): Recording {
  const [tool = '', ...args] = command.replace(PEER, peer).split(' ')
  const all = [...strace, tool, '-n', namespace, ...flags, ...args]
  const { stdout, status } = spawnSync('strace', all, { encoding: 'utf8' })
  return { ...datagrams(), stdout, status }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function recordRequest({ name, command, ours, mayFail }: RequestCase): object {
  const { sent, status } = record(command)
  if (status !== 0 && !mayFail) throw new Error(`${command}: failed`)
  // Questions that come before the change, such as a link's number, are not the case.
  return { name, command, theirs: sent.at(-1), ours: { ...ours, body: hexOf(ours.body) } }
}

/** nlmsg_type of a datagram's first message. */
function typeOf(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt16LE(4)
}

function recordReply({ name, command, type }: ReplyCase): object {
  const { received, stdout } = record(command, '-j')
  const printed: unknown = stdout.trim() === '' ? null : JSON.parse(stdout)
  // Only what is answered to this question: there are others, such as for the names of all links.
  return { name, command, received: received.filter((hex) => typeOf(hex) === type), printed }
}

/** What `ip monitor` hears while a link comes and goes. */
async function recordEvents(): Promise<object> {
  const monitor = ['ip', '-n', namespace, 'monitor', 'link', 'address', 'route', 'neigh']
  const child = spawn('strace', [...strace, ...monitor], { stdio: 'ignore' })
  await sleep(500)
  ip('-n', namespace, 'link', 'add', 'br1', 'address', '0a:00:00:00:00:09', 'type', 'bridge')
  ip('-n', namespace, 'link', 'set', 'veth0', 'nomaster')
  ip('-n', namespace, 'address', 'add', '10.2.0.1/24', 'dev', 'br1')
  ip('-n', namespace, 'link', 'set', 'br1', 'up')
  ip('-n', namespace, 'route', 'add', '10.3.0.0/16', 'via', '10.2.0.2', 'proto', '104')
  ip('-n', namespace, 'neigh', 'add', '10.2.0.2', 'lladdr', '0e:00:00:00:00:08', 'dev', 'br1')
  ip('-n', namespace, 'link', 'del', 'br1')
  await sleep(500)
  // strace itself would wait for the monitor to end.
  const monitored = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
  process.kill(Number(monitored.trim()), 'SIGTERM')
  await once(child, 'exit')
  return { received: datagrams().received }
}

try {
  ip('netns', 'add', namespace)
  ip('netns', 'add', peer)
  const requests = requestCases.map(recordRequest)
  const replies = replyCases.map(recordReply)
  const errors = refusals.map(recordReply)
  requests.push(...trafficCases.map(recordRequest))
  replies.push(...trafficReplies.map(recordReply))
  requests.push(...trafficUndoCases.map(recordRequest), ...undoCases.map(recordRequest))
  const events = await recordEvents()
  const vectors = { requests, replies, errors, events }
  const file = join(import.meta.dirname, 'recorded.json')
  writeFileSync(file, `${JSON.stringify(vectors, null, 1)}\n`)
} finally {
  for (const name of [namespace, peer]) spawnSync('ip', ['netns', 'del', name])
  rmSync(folder, { recursive: true })
}
