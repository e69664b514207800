/** A table as nft prints it: the form to review a firewall in, in tests, logs and status. */
import { addressFromBytes, formatAddress } from '../../ip/address.ts'
import { formatPrefix, hostPrefix } from '../../ip/prefix.ts'
import { type Chain, priorities } from './chain.ts'
import type { TableFamily } from './codec.ts'
import { formatDataType } from './data-type.ts'
import type { SetElement } from './element.ts'
import { elementRanges, prefixRange, type Range } from './interval.ts'
import { hex, renderRule } from './render-rule.ts'
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

function renderElements({ flags, elements }: SetSpec): string[] {
  if (flags.includes('interval') && elements.every(({ keyEnd }) => !keyEnd)) {
    return elementRanges(elements).map(renderRange)
  }
  return elements.map(renderElement)
}

function renderElement({ key, comment: text }: SetElement): string {
  const address = addressFromBytes(key)
  const value = address ? formatAddress(address) : hex(key)
  return text === undefined ? value : `${value} ${comment(text)}`
}

/** A range as the one prefix it is, or with its bounds. */
export function renderRange({ first, last }: Range): string {
  for (let length = 0; length < hostPrefix(first).length; length++) {
    const range = prefixRange({ address: first, length })
    if (range.first.value === first.value && range.last.value === last.value) {
      return formatPrefix({ address: first, length })
    }
  }
  const text = formatAddress(first)
  return first.value === last.value ? text : `${text}-${formatAddress(last)}`
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
  const named = Object.entries(priorities).find(([, value]) => value === base.priority)
  const priority = named?.[0] ?? base.priority
  return [`type ${base.type} hook ${base.hook} priority ${priority}; policy ${base.policy};`]
}
