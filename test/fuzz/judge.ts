/** What every run of a plugin must have kept to, whatever it was given. */
import type { FuzzVerb } from './cases.ts'

export interface Run {
  readonly verb: FuzzVerb
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The result is the one before it in the chain, whatever that held. */
  readonly chained: boolean
}

/** The error object of the CNI spec, section 5. */
export interface FuzzError {
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** How a place in the source looks in a stack trace. */
const stackLine = /\n\s+at .+(:\d+\)?|\(native\)|<anonymous>)/

/** What is wrong with an answer; undefined if it is as the spec wants it. */
export function answerFault({ verb, code, stdout, stderr, chained }: Run): string | undefined {
  if (code !== 0 && code !== 1) return `exit ${code}`
  if (stackLine.test(stderr) || stackLine.test(stdout.replaceAll('\\n', '\n'))) {
    return 'a stack trace'
  }
  if (stdout === '') return code === 1 ? 'no error on standard output' : silenceFault(verb)
  const json = parse(stdout)
  if (!isObject(json)) return 'standard output is not one JSON object'
  if (code === 1) return errorFault(json)
  return resultFault(verb, json) ?? (chained ? undefined : indexFault(json))
}

function silenceFault(verb: FuzzVerb): string | undefined {
  return verb === 'ADD' || verb === 'VERSION' ? 'no result on standard output' : undefined
}

function resultFault(verb: FuzzVerb, json: Readonly<Record<string, unknown>>): string | undefined {
  if (verb !== 'ADD' && verb !== 'VERSION') return `a result of ${verb}`
  return typeof json['cniVersion'] === 'string' ? undefined : 'a result without its version'
}

/** An index beyond the list makes go-cni panic. */
function indexFault({ interfaces, ips }: Readonly<Record<string, unknown>>): string | undefined {
  const count = Array.isArray(interfaces) ? interfaces.length : 0
  for (const ip of Array.isArray(ips) ? ips : []) {
    const at: unknown = isObject(ip) ? ip['interface'] : undefined
    if (at !== undefined && (typeof at !== 'number' || at < 0 || at >= count)) {
      return `an address on interface ${JSON.stringify(at)} of ${count}`
    }
  }
  return undefined
}

function errorFault(json: Readonly<Record<string, unknown>>): string | undefined {
  const { code, msg, details } = json
  if (!Number.isInteger(code) || Number(code) <= 0) return 'an error without a code'
  if (typeof msg !== 'string' || msg === '') return 'an error without a message'
  if (details !== undefined && typeof details !== 'string') return 'details that are no text'
  // The code of a defect, unless another plugin chose it.
  return code === 999 && !msg.startsWith('fake') ? `a bug: ${msg}` : undefined
}

export function errorOf(stdout: string): FuzzError | undefined {
  const json = parse(stdout)
  return isObject(json) && typeof json['code'] === 'number' && typeof json['msg'] === 'string'
    ? { code: json['code'], msg: json['msg'] }
    : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** How many runs ended how: by stage and code. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1)
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** The share of those whose name begins so. */
  share(prefix: string): number {
    const all = [...this.#counts].filter(([what]) => what.startsWith(prefix))
    return all.reduce((sum, [, count]) => sum + count, 0) / this.total
  }

  lines(): string[] {
    const sorted = [...this.#counts].sort(([, a], [, b]) => b - a)
    return sorted.map(([what, count]) => `${String(count).padStart(6)} ${what}`)
  }
}
