import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/** The file's text; undefined when there is no such file. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (!(error instanceof Error)) throw error
    if ('code' in error && error.code === 'ENOENT') return undefined
    // Not every error of the file system names the file.
    throw new StateError(`cannot read ${path}: ${error.message}`, { cause: error })
  }
}

/**
 * Writes a file so that a reader, and a crash, see the old text or the new one, and makes its
 * folder (0755) when missing.
 * @throws StateError naming the file
 */
export function writeAtomically(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    // One that a kill left, or a link that somebody put there, is not written through.
    rmSync(temporary, { force: true })
    const fd = openSync(temporary, 'wx', mode)
    try {
      // On a disk that is nearly full a single write may stop half way without an error.
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    discard(temporary)
    const reason = error instanceof Error ? error.message : String(error)
    throw new StateError(`cannot write ${path}: ${reason}`, { cause: error })
  }
}

/** Half a file would take the very room that is lacking. */
function discard(temporary: string): void {
  try {
    rmSync(temporary, { force: true })
  } catch {
    // Read-only: it was not made either.
  }
}

/** As `writeAtomically`, and nothing is written when the file says so already. */
export function writeIfDifferent(path: string, text: string, mode: number): boolean {
  if (readIfThere(path) === text) return false
  writeAtomically(path, text, mode)
  return true
}

/** Reads a JSON file of ours, which carries its version as `v`. */
export function readVersioned(
  path: string,
  known: number,
): Readonly<Record<string, unknown>> | undefined {
  const text = readIfThere(path)
  if (text === undefined) return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new StateError(`${path} is not JSON: remove it if nobody needs it`, { cause: error })
  }
  const fields = typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {}
  if (typeof fields['v'] !== 'number' || fields['v'] > known) {
    const message = `${path} has version ${String(fields['v'])}, this heddled knows ${known}: it is left as it is`
    throw new StateError(message)
  }
  return fields
}

/** A file of ours that cannot be used. */
export class StateError extends Error {
  override readonly name = 'StateError'
}
