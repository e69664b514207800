/** What `#fs` means where Node runs: its own calls, no more of them than `fs.ts` has. */
import * as node from 'node:fs'
import type * as ours from './fs.ts'

export type { Listing } from './fs.ts'

export const {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
}: Omit<typeof ours, keyof typeof beyondNode> = node

// Those that node:fs does not have.
const beyondNode = {
  linkIfFree: (from, to) => unless('EEXIST', () => (node.linkSync(from, to), true)) ?? false,
  readIfThere: (path) => unless('ENOENT', () => node.readFileSync(path, 'utf8')),
  readlinkIfThere: (path) => unless('ENOENT', () => node.readlinkSync(path)),
  unlinkIfThere: (path) => unless('ENOENT', () => (node.unlinkSync(path), true)) ?? false,
  findNames: (path, prefix) =>
    (unless('ENOENT', () => node.readdirSync(path)) ?? []).filter((name) =>
      name.startsWith(prefix),
    ),
  listFolder: (path) => {
    const names = node.readdirSync(path)
    const inodes = names.map((name) => node.lstatSync(`${path}/${name}`).ino)
    return { inodes, name: (index) => names[index] ?? '' }
  },
} satisfies Partial<typeof ours>

export const { findNames, linkIfFree, listFolder, readIfThere, readlinkIfThere, unlinkIfThere } =
  beyondNode

/** Undefined where the call fails with that code. */
function unless<T>(code: string, call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return undefined
    throw error
  }
}
