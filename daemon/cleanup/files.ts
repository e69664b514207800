import { readdirSync, rmdirSync, rmSync, unlinkSync } from 'node:fs'

/** Removes a file; whether it was there. */
export function removeFile(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
}

/** Removes a folder with all in it; whether it was there. */
export function removeTree(path: string): boolean {
  const isThere = entriesOf(path) !== undefined
  rmSync(path, { recursive: true, force: true })
  return isThere
}

/** Removes a folder that nothing is in. */
export function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EBUSY')) throw error
  }
}

/** The names in a folder; undefined when there is no such folder. */
export function entriesOf(path: string): string[] | undefined {
  try {
    return readdirSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
