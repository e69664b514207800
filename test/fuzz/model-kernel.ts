/**
 * A small kernel for whole runs of the plugin in process: namespaces with links, addresses, routes
 * and queueing disciplines, and one nftables ruleset. It refuses what Linux would refuse for the
 * mistakes a configuration can bring about, and anything at all where a test says so. What it is
 * sent it keeps as bytes where it can, and answers with them.
 */
import {
  decodeMessages,
  encodeMessages,
  type Message,
  type Request,
} from '../../netlink/codec/message.ts'
import { NFNL_MSG_BATCH_BEGIN } from '../../netlink/nftables/codec.ts'
import type { Socket } from '../../netlink/socket.ts'
import { answerNetfilter } from './model-netfilter.ts'
import type { ModelNetns } from './model-netns.ts'
import { answerRoute, netnsLines, newNetns } from './model-route.ts'
import { newRuleset, type Ruleset, rulesetLines } from './model-ruleset.ts'
import { transact } from './model-transaction.ts'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_DUMP = 0x300
const NLM_F_MULTI = 2
const NLM_F_CAPPED = 0x100
const ENOBUFS = 105

/** What the kernel says to one message: an errno, 0 for success, and the objects asked for. */
export interface Answer {
  readonly errno: number
  readonly replies?: readonly Request[]
}

/**
 * The n-th message fails: it is refused, or carried out and the answer dropped, or, if it is a
 * dump, the objects seem to change meanwhile.
 */
export interface Fault {
  readonly at: number
  readonly errno: number
  readonly how: 'refused' | 'lost'
}

export interface Kernel {
  readonly host: ModelNetns
  readonly container: ModelNetns
  readonly neighbour: ModelNetns
  ruleset: Ruleset
  fault: Fault | undefined
  /** How many messages came so far. */
  messages: number
}

export function newKernel(): Kernel {
  const host = newNetns('host', 1)
  const container = newNetns('container', 2)
  const neighbour = newNetns('neighbour', 3)
  const all = [host, container, neighbour]
  for (const netns of all) netns.others.push(...all.filter((other) => other !== netns))
  return { host, container, neighbour, ruleset: newRuleset(), fault: undefined, messages: 0 }
}

/** What there is, one line an object, in no particular order. */
export function kernelLines({ host, container, neighbour, ruleset }: Kernel): string[] {
  return [...[host, container, neighbour].flatMap(netnsLines), ...rulesetLines(ruleset)]
}

/** Opens a socket in a namespace. Netfilter is the host's whatever the namespace. */
export function openSocket(
  kernel: Kernel,
  netns: ModelNetns,
  protocol: 'route' | 'netfilter',
): Socket {
  const queue: (Uint8Array | 'lost')[] = []
  const answer = (message: Message) =>
    protocol === 'route' ? answerRoute(netns, message) : answerNetfilter(kernel.ruleset, message)
  return {
    fd: -1,
    portId: 0,
    send(datagram) {
      const messages = decodeMessages(datagram)
      if (protocol === 'netfilter' && messages[0]?.type === NFNL_MSG_BATCH_BEGIN) {
        for (const part of sendBatch(kernel, messages)) queue.push(part)
        return
      }
      for (const message of messages) {
        const fault = faultOf(kernel)
        if (fault?.how === 'lost') {
          answer(message)
          queue.push('lost')
          return
        }
        const { errno, replies = [] } = fault ? { errno: fault.errno } : answer(message)
        queue.push(encodeAnswer(message, errno, replies))
      }
    },
    receive() {
      const next = queue.shift()
      if (next === 'lost') throw socketError(ENOBUFS, 'ENOBUFS')
      if (next === undefined) throw socketError(11, 'EAGAIN')
      return next
    },
    [Symbol.dispose]() {},
  }
}

/** A transaction counts as one message. */
function sendBatch(kernel: Kernel, messages: readonly Message[]): (Uint8Array | 'lost')[] {
  const fault = faultOf(kernel)
  const first = messages[1]
  if (fault?.how === 'refused' && first) return [encodeAnswer(first, fault.errno, [])]
  const { ruleset, answers } = transact(kernel.ruleset, messages)
  kernel.ruleset = ruleset
  if (fault?.how === 'lost') return ['lost']
  return answers.map(({ message, errno }) => encodeAnswer(message, errno, []))
}

function faultOf(kernel: Kernel): Fault | undefined {
  kernel.messages++
  return kernel.fault?.at === kernel.messages ? kernel.fault : undefined
}

function encodeAnswer(
  { sequence, flags }: Message,
  errno: number,
  replies: readonly Request[],
): Uint8Array {
  const isDump = (flags & NLM_F_DUMP) === NLM_F_DUMP
  const body = new Uint8Array(isDump && errno === 0 ? 4 : 20)
  new DataView(body.buffer).setInt32(0, -errno, true)
  const end = { body, op: 'end', flags: isDump && errno === 0 ? NLM_F_MULTI : NLM_F_CAPPED }
  const type = isDump && errno === 0 ? NLMSG_DONE : NLMSG_ERROR
  // All carry the question's number.
  const parts = [...replies, { ...end, type }].map((part) => encodeMessages([part], sequence, 0))
  return new Uint8Array(Buffer.concat(parts))
}

function socketError(errno: number, code: string): Error {
  return Object.assign(new Error(`${code}: made up, recv`), { errno, code, syscall: 'recv' })
}
