import { ConfigError } from '../../conf/errors.ts'
import type { BackendConfig } from '../../conf/network-config.ts'
import type { CommandSpec } from './command.ts'

/**
 * Reads a backend's options, each by the name flannel documents, and in the end says which were
 * never asked for.
 */
export class BackendOptions {
  readonly #type: string
  readonly #options: Readonly<Record<string, unknown>>
  readonly #asked = new Set<string>()

  constructor({ type, options }: BackendConfig) {
    this.#type = type
    this.#options = options
  }

  /** A whole number from `min` to `max`. Throws ConfigError for anything else. */
  integer(key: string, range: { min: number; max: number }): number | undefined {
    const value = this.#take(key)
    if (value === undefined) return undefined
    const isFine = typeof value === 'number' && Number.isInteger(value)
    if (isFine && value >= range.min && value <= range.max) return value
    const wanted = `a whole number from ${range.min} to ${range.max}`
    throw new ConfigError(
      `Backend.${key}`,
      `Backend.${key} must be ${wanted}, not ${JSON.stringify(value)}`,
    )
  }

  /** False when absent. Throws ConfigError for what is not a boolean. */
  flag(key: string): boolean {
    const value = this.#take(key) ?? false
    if (typeof value === 'boolean') return value
    throw new ConfigError(
      `Backend.${key}`,
      `Backend.${key} must be true or false, not ${JSON.stringify(value)}`,
    )
  }

  /** A program and its arguments, or a text of them; none if empty. Throws ConfigError for others. */
  command(key: string): CommandSpec | undefined {
    const value = this.#take(key) ?? ''
    const isText = (one: unknown): one is string => typeof one === 'string' && !one.includes('\0')
    if (isText(value)) return value.trim() === '' ? undefined : value
    const isWords = Array.isArray(value) && value.every(isText)
    if (isWords && value[0] !== '') return value.length === 0 ? undefined : value
    const wanted = 'a list of words, the program first, or a text of them'
    throw new ConfigError(
      `Backend.${key}`,
      `Backend.${key} must be ${wanted}, not ${JSON.stringify(value)}`,
    )
  }

  /** A sentence for each key that the backend does not know. */
  unknown(): string[] {
    return Object.keys(this.#options)
      .filter((key) => !this.#asked.has(key))
      .map((key) => `unknown key "${key}" for backend ${this.#type}`)
  }

  #take(key: string): unknown {
    this.#asked.add(key.toLowerCase())
    return this.#options[key.toLowerCase()]
  }
}
