import { DecodeError } from './errors.ts'

/** Far deeper than what anybody means; functions that call themselves are safe with it. */
const DEEPEST = 64

/**
 * Parses JSON that anybody may have written. `what` it is, for messages.
 * @throws DecodeError for what is not JSON, or is nested so deep that it may end whoever works on it
 */
export function parseForeignJson(text: string, what: string): unknown {
  if (isTooDeep(text)) throw new DecodeError(`${what} is nested deeper than ${DEEPEST} levels`)
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new DecodeError(`${what} is not JSON: ${reason}`, { cause: error })
  }
}

/** What is not JSON is judged up to where it stops being JSON, and beyond, which does no harm. */
function isTooDeep(text: string): boolean {
  // Nearly all text has few brackets, and is not looked at letter by letter.
  if (!hasMore(text, '{', DEEPEST / 2) && !hasMore(text, '[', DEEPEST / 2)) return false
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (letter === '"') at = endOfString(text, at)
    else if ((letter === '{' || letter === '[') && ++depth > DEEPEST) return true
    else if (letter === '}' || letter === ']') depth--
  }
  return false
}

function hasMore(text: string, letter: string, count: number): boolean {
  let at = -1
  for (let found = 0; found <= count; found++) {
    at = text.indexOf(letter, at + 1)
    if (at < 0) return false
  }
  return true
}

/** The place of the closing quote of the string that starts at `from`. */
function endOfString(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
  }
  return text.length
}
