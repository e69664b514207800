import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from '#fs'

/**
 * Writes a file that only root reads, whole or not at all, in a folder that is made when missing.
 * Returns how to put back what was there before.
 */
export function replaceFile(path: string, text: string): () => void {
  const before = readIfThere(path)
  writeWhole(path, text)
  return () => {
    if (before === undefined) removeIfThere(path)
    else writeWhole(path, before)
  }
}

function writeWhole(path: string, text: string): void {
  const folder = path.slice(0, path.lastIndexOf('/'))
  // The names that stand in such folders never start with a dot.
  const temporary = `${folder}/.${process.pid}.tmp`
  try {
    writeFileSync(temporary, text, { mode: 0o600 })
  } catch (error) {
    if (!isMissing(error)) throw error
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    writeFileSync(temporary, text, { mode: 0o600 })
  }
  renameSync(temporary, path)
}

/** A file's text; undefined when there is none. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

/** Nothing is there, or nothing can be, since the name is longer than any file's. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && missingCodes.has(error.code)
}

const missingCodes: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'])
