import { type Request } from '../codec/message.ts'
import {
  type CreateOptions,
  createFlags,
  decodeMessage,
  describe,
  generationTable,
  message,
  type TableFamily,
  type TableRef,
  tableTable,
} from './codec.ts'

/** A table as the kernel has it. */
export interface Table extends TableRef {
  readonly comment?: string
}

/** Makes a table. Without `exclusive`, one that is there stays as it is, its comment too. */
export function addTable(table: Table, options: CreateOptions = {}): Request {
  const { family, name, comment } = table
  const attrs = { name, flags: 0, ...(comment !== undefined && { userdata: { comment } }) }
  const op = describe('add table', table)
  return message(
    'newTable',
    family,
    { table: tableTable, attrs },
    { op, flags: createFlags(options) },
  )
}

/** Removes a table and all in it; ENOENT when it is not there. */
export function deleteTable({ family, name }: TableRef): Request {
  const op = describe('delete table', { family, name })
  return message('deleteTable', family, { table: tableTable, attrs: { name } }, { op })
}

/** Asks for one table; ENOENT when it is not there. */
export function getTable({ family, name }: TableRef): Request<Table> {
  const op = describe('get table', { family, name })
  return message('getTable', family, { table: tableTable, attrs: { name } }, { op, decode })
}

/** To be dumped: the tables of a family, or of all. */
export function listTables(family?: TableFamily): Request<Table> {
  return message(
    'getTable',
    family,
    { table: tableTable, attrs: {} },
    { op: 'list tables', decode },
  )
}

function decode(_type: number, payload: Uint8Array): Table {
  const { family = 'inet', attrs } = decodeMessage(tableTable, payload)
  const comment = attrs.userdata?.comment
  return { family, name: attrs.name ?? '', ...(comment !== undefined && { comment }) }
}

/**
 * Asks for the ruleset's generation, which every committed transaction moves on. A transaction
 * that names an older one is refused with ERESTART.
 */
export function getGeneration(): Request<number> {
  return message(
    'getGeneration',
    undefined,
    { table: generationTable, attrs: {} },
    {
      op: 'get the nftables generation',
      decode: (_, payload) => decodeMessage(generationTable, payload).attrs.id ?? 0,
    },
  )
}
