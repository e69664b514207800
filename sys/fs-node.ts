/** What `#fs` means where Node runs: its own calls, no more of them than `fs.ts` has. */
import * as node from 'node:fs'
import type * as ours from './fs.ts'

export const {
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
  unlinkSync,
  writeFileSync,
  writeSync,
}: typeof ours = node
