/** Text that is not what its format asks for: JSON that does not parse, a value of a wrong type. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError'

  constructor(message: string, options?: ErrorOptions) {
    super(readable(message), options)
  }
}

/** A configuration that can be read but not used. `path` names the key, dot-separated. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly path: string

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(readable(message), options)
    this.path = path
  }
}

/** A key that is known but not supported with this value. */
export class UnsupportedFieldError extends Error {
  override readonly name = 'UnsupportedFieldError'
  readonly key: string
  readonly value: unknown

  constructor(key: string, value: unknown, advice: string) {
    super(`unsupported field "${key}" with value ${JSON.stringify(value)}: ${advice}`)
    this.key = key
    this.value = value
  }
}

const LONGEST = 1_000

/** Messages quote what anybody may have written: they are for a terminal, and for one look. */
function readable(message: string): string {
  const text = message
    .slice(0, LONGEST + 1)
    .replace(/\p{Cc}/gu, (character) =>
      character === '\n' ? ' ' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}
