import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from '#fs'

/**
 * Writes a file that only root reads, whole or not at all, in a folder that is made when missing.
 * Returns how to put back what was there before.
 */
export function replaceFile(path: string, text: string): () => void {
  const before = readUnlessMissing(path)
  writeWhole(path, text)
  return () => {
    if (before === undefined) removeFile(path)
    else writeWhole(path, before)
  }
}

/** As `readIfThere`, for a file that mostly is not: an error would cost more than asking first. */
export function readUnlessMissing(path: string): string | undefined {
  return existsSync(path) ? readIfThere(path) : undefined
}

/** Writes such a file. */
export function writeWhole(path: string, text: string): void {
  const temporary = temporaryPath(path)
  try {
    writeInFolder(temporary, text)
    renameSync(temporary, path)
  } catch (error) {
    removeIfThere(temporary)
    throw error
  }
}

function writeInFolder(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600 })
  } catch (error) {
    if (!isMissing(error)) throw error
    mkdirSync(folderOf(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, text, { mode: 0o600 })
  }
}

/** Removes a file that was written so, with what a run that was killed left of it. */
export function removeFile(path: string): void {
  removeIfThere(path)
  removeIfThere(temporaryPath(path))
}

/** Removes what a run that was killed left of a file, which may be all there is of it. */
export function removeUnfinished(path: string): void {
  const temporary = temporaryPath(path)
  if (existsSync(temporary)) removeIfThere(temporary)
}

/** The names that stand in such folders never start with a dot. */
function temporaryPath(path: string): string {
  const folder = folderOf(path)
  return `${folder}/.${path.slice(folder.length + 1)}.tmp`
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
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

function removeIfThere(path: string): void {
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

/** The names in a folder; none when it is not there. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}
