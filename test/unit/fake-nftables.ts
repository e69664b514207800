import {
  decodeMessages,
  encodeMessages,
  type Message,
  type Request,
} from '../../netlink/codec/message.ts'
import {
  batchTable,
  chainTable,
  decodeMessage,
  elementListTable,
  families,
  generationTable,
  type MessageName,
  message,
  messages,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  ruleTable,
  setTable,
  tableTable,
} from '../../netlink/nftables/codec.ts'
import { createTable, type TableSpec } from '../../netlink/nftables/table-spec.ts'
import type { Socket } from '../../netlink/socket.ts'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_ACK = 4
const NLM_F_DUMP = 0x300
const ENOENT = 2
const ERESTART = 85
/** NFNL_SUBSYS_CTNETLINK */
const CONNTRACK = 1

/** What a test decides of a transaction: an errno for each operation, 0 for success. */
export type Judge = (operations: readonly Message[]) => readonly number[]

/**
 * The nf_tables side of a kernel whose tables do not change by themselves: it answers questions
 * about them, keeps the transactions it is sent, and refuses what the test tells it to.
 */
export class FakeNftables implements Socket {
  readonly fd = -1
  readonly portId = 0
  tables: TableSpec[]
  generation = 1
  /** Called before a transaction is looked at, as if another program came between. */
  interfere: () => void = () => {}
  judge: Judge = (operations) => operations.map(() => 0)
  /** The names of the operations of each transaction that was not outdated. */
  readonly transactions: MessageName[][] = []
  /** How often connections were asked for; there are none. */
  conntrackDumps = 0
  readonly #replies: Uint8Array[] = []

  constructor(...tables: TableSpec[]) {
    this.tables = tables
  }

  send(datagram: Uint8Array): void {
    const sent = decodeMessages(datagram)
    if (sent[0]?.type === NFNL_MSG_BATCH_BEGIN) this.#transact(sent)
    else for (const question of sent) this.#answer(question)
  }

  receive(): Uint8Array {
    const reply = this.#replies.shift()
    if (!reply) throw Object.assign(new Error('nothing to receive'), { errno: 11 })
    return reply
  }

  [Symbol.dispose](): void {}

  #transact(sent: readonly Message[]): void {
    this.interfere()
    const [begin, ...operations] = sent.filter(({ type }) => type !== NFNL_MSG_BATCH_END)
    if (!begin) return
    const { generation } = decodeMessage(batchTable, begin.payload).attrs
    if (generation !== undefined && generation !== this.generation) {
      this.#acknowledge(begin, ERESTART)
      return
    }
    this.transactions.push(operations.map(nameOf))
    const errors = this.judge(operations)
    if (errors.every((errno) => errno === 0)) this.generation++
    for (const [index, operation] of operations.entries()) {
      const errno = errors[index] ?? 0
      if (errno !== 0 || operation.flags & NLM_F_ACK) this.#acknowledge(operation, errno)
    }
  }

  #answer(question: Message): void {
    if (question.type >> 8 === CONNTRACK) {
      this.conntrackDumps++
      this.#done(question)
      return
    }
    const replies = this.#objects(question)
    if (!replies) {
      this.#acknowledge(question, ENOENT)
      return
    }
    for (const reply of replies) this.#reply(question, reply)
    if (question.flags & NLM_F_DUMP) this.#done(question)
    else this.#acknowledge(question, replies.length === 0 ? ENOENT : 0)
  }

  /** The objects asked for, as the messages that would make them; undefined if there is no table. */
  #objects(question: Message): Request[] | undefined {
    const asked = nameOf(question)
    if (asked === 'getGeneration') return [generationReply(this.generation)]
    // Family 0 asks for all.
    const family = question.payload[0] ?? 0
    const tables = this.tables.filter((t) => family === 0 || families[t.family] === family)
    const wanted = identity(asked, question.payload)
    const isDump = (question.flags & NLM_F_DUMP) !== 0
    const isMissing = wanted.table !== undefined && !tables.some((t) => t.name === wanted.table)
    if (isMissing) return isDump && asked !== 'getRule' ? undefined : []
    return tables
      .flatMap(createTable)
      .filter((request) => nameOf(request) === asked.replace('get', 'new'))
      .filter((request) => {
        const { table, name } = identity(asked, request.body)
        const isInTable = wanted.table === undefined || wanted.table === table
        return isInTable && (wanted.name === undefined || wanted.name === name)
      })
      .flatMap((request) => (asked === 'getElement' ? elementsAsked(question, request) : request))
  }

  #reply(question: Message, reply: Request): void {
    this.#replies.push(encodeMessages([reply], question.sequence, 0))
  }

  #done(question: Message): void {
    this.#reply(question, { type: NLMSG_DONE, flags: 0, body: new Uint8Array(4), op: 'done' })
  }

  #acknowledge(question: Message, errno: number): void {
    const body = new Uint8Array(20)
    new DataView(body.buffer).setInt32(0, -errno, true)
    this.#reply(question, { type: NLMSG_ERROR, flags: 0x100, body, op: 'acknowledge' })
  }
}

function nameOf({ type }: { type: number }): MessageName {
  const names = Object.keys(messages) as MessageName[]
  const name = names.find((key) => messages[key] === (type & 0xff))
  if (!name) throw new Error(`the fake knows no message of type ${type}`)
  return name
}

/** Of the elements of one message those whose keys are asked for, one message each; or all. */
function elementsAsked(question: Message, { body }: Request): Request[] {
  const { family, attrs } = decodeMessage(elementListTable, body)
  const keys = decodeMessage(elementListTable, question.payload).attrs.elements?.map(keyText)
  const found = (attrs.elements ?? []).filter((element) => keys?.includes(keyText(element)) ?? true)
  return found.map((element) => {
    const content = { table: elementListTable, attrs: { ...attrs, elements: [element] } }
    return message('newElement', family, content, { op: 'element' })
  })
}

function keyText({ key }: { key?: { value?: Uint8Array | undefined } | undefined }): string {
  return key?.value?.join('.') ?? ''
}

function generationReply(id: number): Request {
  const content = { table: generationTable, attrs: { id } }
  return message('newGeneration', undefined, content, { op: 'generation' })
}

/** Which table, and what in it, a message is about. */
function identity(
  asked: MessageName,
  body: Uint8Array,
): { table?: string | undefined; name?: string | undefined } {
  if (asked === 'getTable') {
    const { name } = decodeMessage(tableTable, body).attrs
    return { table: name, name }
  }
  if (asked === 'getRule') {
    const { table, chain } = decodeMessage(ruleTable, body).attrs
    return { table, name: chain }
  }
  if (asked === 'getElement') {
    const { table, set } = decodeMessage(elementListTable, body).attrs
    return { table, name: set }
  }
  const { table, name } = decodeMessage(asked === 'getSet' ? setTable : chainTable, body).attrs
  return { table, name }
}
