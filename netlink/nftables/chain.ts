import type { Request } from '../codec/message.ts'
import {
  type CreateOptions,
  chainTable,
  createFlags,
  decodeMessage,
  describe,
  message,
  type TableFamily,
  type TableRef,
} from './codec.ts'

/** NF_INET_* hook numbers; netdev and bridge tables have their own. */
const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const
type Hook = keyof typeof hooks

/** NF_IP_PRI_*: nft's names for the priorities that matter here. */
export const priorities = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
} as const

/** What makes a chain a base chain: where packets enter it. */
interface BaseChain {
  readonly type: string
  readonly hook: Hook | number
  readonly priority: number
  readonly policy: 'accept' | 'drop'
}

export interface Chain {
  readonly name: string
  readonly base?: BaseChain
  readonly comment?: string
}

/** A chain and where it is. */
export interface ListedChain {
  readonly table: TableRef
  readonly chain: Chain
}

const policies = { drop: 0, accept: 1 } as const

/** Makes a chain. Without `exclusive`, one that is there stays, with this policy. */
export function addChain(table: TableRef, chain: Chain, options: CreateOptions = {}): Request {
  const { name, base, comment } = chain
  const attrs = {
    table: table.name,
    name,
    ...(base && {
      type: base.type,
      policy: policies[base.policy],
      hook: {
        number: typeof base.hook === 'number' ? base.hook : hooks[base.hook],
        priority: base.priority,
      },
    }),
    ...(comment !== undefined && { userdata: { comment } }),
  }
  const op = describe('add chain', table, name)
  const flags = createFlags(options)
  return message('newChain', table.family, { table: chainTable, attrs }, { op, flags })
}

/** Removes a chain; EBUSY while rules are in it or jump to it. */
export function deleteChain(table: TableRef, name: string): Request {
  const op = describe('delete chain', table, name)
  const attrs = { table: table.name, name }
  return message('deleteChain', table.family, { table: chainTable, attrs }, { op })
}

/** Asks for one chain; ENOENT when it or its table is not there. */
export function getChain(table: TableRef, name: string): Request<ListedChain> {
  const op = describe('get chain', table, name)
  const attrs = { table: table.name, name }
  return message('getChain', table.family, { table: chainTable, attrs }, { op, decode })
}

/** To be dumped: the chains of every table of a family, or of all families. */
export function listChains(family?: TableFamily): Request<ListedChain> {
  return message(
    'getChain',
    family,
    { table: chainTable, attrs: {} },
    { op: 'list chains', decode },
  )
}

function decode(_type: number, payload: Uint8Array): ListedChain {
  const { family = 'inet', attrs } = decodeMessage(chainTable, payload)
  const { hook, type = 'filter', policy, userdata, name = '', table = '' } = attrs
  const base = hook && {
    type,
    hook: hookName(hook.number ?? 0, family),
    priority: hook.priority ?? 0,
    policy: policy === policies.drop ? ('drop' as const) : ('accept' as const),
  }
  const comment = userdata?.comment
  const chain = { name, ...(base && { base }), ...(comment !== undefined && { comment }) }
  return { table: { family, name: table }, chain }
}

function hookName(number: number, family: TableFamily): Hook | number {
  if (family === 'netdev' || family === 'arp') return number
  return (Object.keys(hooks) as Hook[]).find((name) => hooks[name] === number) ?? number
}
