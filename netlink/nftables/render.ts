/** A table as nft prints it: the form to review a firewall in, in tests, logs and status. */
import { type Chain, priorities } from './chain.ts'
import type { TableFamily } from './codec.ts'
import { type DataType, formatDataType } from './data-type.ts'
import type { SetElement } from './element.ts'
import { elementRanges } from './interval.ts'
import { renderRule } from './render-rule.ts'
import { formatValue, hex, renderRange } from './render-value.ts'
import type { NftSet } from './set.ts'
import type { ChainSpec, SetSpec, TableSpec } from './table-spec.ts'

/** The whole table, a block of nft's syntax with tabs. */
export function renderTable(table: TableSpec): string {
  const blocks = [
    ...(table.comment === undefined ? [] : [[comment(table.comment)]]),
    ...table.sets.map(renderSet),
    ...table.chains.map((chain) => renderChain(chain, table.family)),
  ]
  return block(`table ${table.family} ${table.name}`, blocks.flat()).join('\n')
}

function block(title: string, lines: readonly string[]): string[] {
  return [`${title} {`, ...lines.map((line) => `\t${line}`), '}']
}

function comment(text: string): string {
  return `comment "${text}"`
}

function renderSet(set: SetSpec): string[] {
  const data = set.data && (set.data === 'verdict' ? 'verdict' : formatDataType(set.data))
  const type = formatDataType(set.key)
  const elements = renderElements(set)
  return block(`${data === undefined ? 'set' : 'map'} ${set.name}`, [
    data === undefined ? `type ${type}` : `type ${type} : ${data}`,
    ...(set.flags.length > 0 ? [`flags ${set.flags.join(',')}`] : []),
    ...(set.comment === undefined ? [] : [comment(set.comment)]),
    ...(elements.length > 0 ? [`elements = { ${elements.join(', ')} }`] : []),
  ])
}

function renderElements({ key, data, flags, elements }: SetSpec): string[] {
  if (flags.includes('interval') && elements.every(({ keyEnd }) => !keyEnd)) {
    return elementRanges(elements).map(renderRange)
  }
  return elements.toSorted(byKey).map((element) => renderElement(key, data, element))
}

/** As nft lists them. */
function byKey({ key: a }: SetElement, { key: b }: SetElement): number {
  const at = a.findIndex((byte, index) => byte !== b[index])
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

function renderElement(type: DataType, data: NftSet['data'], element: SetElement): string {
  const { key, keyEnd, comment: text } = element
  const words = [formatValue(type, key, keyEnd)]
  if (text !== undefined) words.push(comment(text))
  if (data !== undefined) words.push(`: ${renderData(data, element)}`)
  return words.join(' ')
}

function renderData(type: DataType | 'verdict', { data }: SetElement): string {
  if (data === undefined) return '[no data]'
  if (data instanceof Uint8Array) return type === 'verdict' ? hex(data) : formatValue(type, data)
  return data.chain === undefined ? `${data.code}` : `${data.code} ${data.chain}`
}

function renderChain(chain: ChainSpec, family: TableFamily): string[] {
  return block(`chain ${chain.name}`, [
    ...(chain.comment === undefined ? [] : [comment(chain.comment)]),
    ...renderBase(chain),
    ...chain.rules.map((rule) => renderRule(rule, family)),
  ])
}

function renderBase({ base }: Chain): string[] {
  if (!base) return []
  const { type, hook, policy } = base
  return [`type ${type} hook ${hook} priority ${priorityName(base)}; policy ${policy};`]
}

/** So far from a priority that has a name nft still says it by that name. */
const REACH = 10

/** nft has names for the priorities of address translation only at the hooks they are for. */
function priorityName({ hook, priority }: NonNullable<Chain['base']>): string {
  const near = Object.entries(priorities).find(([, value]) => Math.abs(priority - value) <= REACH)
  const [name = '', value = 0] = near ?? []
  const isElsewhere =
    (name === 'dstnat' && hook !== 'prerouting') || (name === 'srcnat' && hook !== 'postrouting')
  if (name === '' || isElsewhere) return `${priority}`
  const offset = priority - value
  return offset === 0 ? name : `${name} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)}`
}
