/** What a campaign found: for each kind of failure the smallest input that brought it about. */
import { type FuzzCase, stdinOf } from './cases.ts'

interface Finding {
  readonly size: number
  readonly text: string
  count: number
}

export class Findings {
  readonly #byKind = new Map<string, Finding>()

  /** Notes a failure. `more` is what else the run was given. */
  add(error: unknown, run: FuzzCase, more: object = {}): void {
    const message = error instanceof Error ? error.message : String(error)
    const kind = kindOf(message)
    const stdin =
      error instanceof Error && 'stdin' in error ? (error.stdin as Buffer) : stdinOf(run)
    const size = sizeOf(run, more, stdin.length)
    const known = this.#byKind.get(kind)
    if (known) known.count++
    if (known && known.size <= size) return
    const text = `${message.slice(0, 1500)}\n${describe(run, more, stdin)}`
    this.#byKind.set(kind, { size, text, count: known?.count ?? 1 })
  }

  /** Notes a failure of one of several runs. */
  addUnknown(message: string): void {
    const known = this.#byKind.get(kindOf(message))
    if (known) known.count++
    else this.#byKind.set(kindOf(message), { size: 0, text: message.slice(0, 1500), count: 1 })
  }

  /** Each with an input to reproduce it by, the most frequent first. */
  lines(): string[] {
    const sorted = [...this.#byKind.values()].sort((a, b) => b.count - a.count)
    return sorted.map(({ count, text }) => `${count} times: ${text}`)
  }
}

/** Messages that differ only in what was given are of one kind. */
function kindOf(message: string): string {
  return message
    .replaceAll(/[0-9a-f]{6,}|\d+/g, '#')
    .replaceAll(/"[^"]*"/g, '""')
    .slice(0, 120)
}

function sizeOf(run: FuzzCase, more: object, length: number): number {
  const { mutations, text, variables, verb } = run
  const extras = Object.values(more).filter(Boolean).length + Object.keys(variables).length
  const count = mutations.length + extras + (text ? 1 : 0) + (verb === 'ADD' ? 0 : 1)
  return count * 1_000_000 + length
}

/** All that is needed to run a case again. */
export function describe(run: FuzzCase, more: object, stdin: Buffer): string {
  const { base, verb, variables, mutations } = run
  const bytes = Buffer.from(stdin.toString()).equals(stdin) ? '' : ' (not UTF-8)'
  const shown = stdin.toString().slice(0, 3000)
  const done = mutations.map(({ how, value, key }) => `${how} ${key} ${value.slice(0, 60)}`)
  return [
    `${base.role} ${verb} (${base.title}) args ${base.args ?? ''} env ${JSON.stringify(variables)}`,
    `mutations: ${done.join('; ')}; more: ${JSON.stringify(more)}`,
    `stdin${bytes}: ${shown}`,
  ].join('\n')
}
