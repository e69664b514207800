import { readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Address, parseAddress } from '../../ip/address.ts'
import { type Prefix, prefixContains } from '../../ip/prefix.ts'
import type { LockFile } from '../host/locks.ts'
import { entriesOf, removeFile, removeIfEmpty, removeTree } from './files.ts'
import type { Report } from './report.ts'

/** Where host-local keeps addresses unless a configuration names another folder. */
const RESERVATIONS = '/var/lib/cni/networks'
const NOTES = '.heddle'
/** Upstream's lock is held for the time of an ADD. */
const LOCK_MS = 5_000
/** What is before it in a note's name is percent-encoded; others' addresses have `=` there. */
const MADE_BY_HEDDLE = '@'
const LAST = /^last_reserved_ip\./

export interface ReservationInput {
  readonly networks: readonly Prefix[]
  /** Who is still there, and of whom only the record is, as `<container id> <ifname>`. */
  readonly running: ReadonlySet<string>
  readonly gone: ReadonlySet<string>
  /** Whether somebody else on this host seems to have an address. */
  readonly isUsed: (address: Address) => boolean
  readonly lockFile: LockFile
  readonly report: Report
  readonly folder?: string
}

/**
 * Removes the addresses of these networks whose containers went without DEL: those of a record, and
 * those that heddle-ipam gave and nobody seems to use. Another plugin's containers leave no record
 * here, so what another IPAM gave them stays, and is told. Where no address is left, the CNI
 * network's folder and heddle-ipam's notes on it go too. Upstream's lock is held meanwhile, so that a
 * plugin that runs sees all of it or nothing.
 */
export function removeReservations(input: ReservationInput): void {
  const { folder = RESERVATIONS } = input
  for (const name of entriesOf(folder) ?? []) {
    if (name !== NOTES && isOfNetworks(folder, name, input.networks)) {
      removeNetwork(folder, name, input)
    }
  }
  // What is noted of a network that is no more helps nobody.
  for (const name of entriesOf(join(folder, NOTES)) ?? []) {
    if (entriesOf(join(folder, name)) === undefined) removeNotes(folder, name, input.report)
  }
  removeIfEmpty(join(folder, NOTES))
  removeIfEmpty(folder)
}

function removeNotes(folder: string, name: string, report: Report): void {
  const notes = join(folder, NOTES, name)
  if (removeTree(notes)) report.removed(notes)
}

/** By the addresses that are taken there, or were: a folder of other networks is not ours. */
function isOfNetworks(folder: string, network: string, networks: readonly Prefix[]): boolean {
  const path = join(folder, network)
  const names = entriesOf(path)
  if (names === undefined) return false
  // A kill of a cleanup left it so: the folder of the notes goes after it.
  if (names.length === 0) return entriesOf(join(folder, NOTES, network)) !== undefined
  const last = names.filter((name) => LAST.test(name)).map((name) => textOf(join(path, name)))
  return [...names, ...last].some((text) => isIn(text, networks))
}

function isIn(text: string, networks: readonly Prefix[]): boolean {
  const address = parseAddress(text.trim())
  return address !== undefined && networks.some((network) => prefixContains(network, address))
}

function removeNetwork(folder: string, name: string, input: ReservationInput): void {
  const { lockFile, report } = input
  const path = join(folder, name)
  const notes = join(folder, NOTES, name)
  using held = new DisposableStack()
  held.use(lockFile(join(path, 'lock'), { mode: 0o750, timeoutMs: LOCK_MS }))
  const noted = notedInodes(notes)
  const addresses = (entriesOf(path) ?? []).filter((entry) => parseAddress(entry))
  const judged = addresses.map((entry) => ({ entry, is: judge(join(path, entry), noted, input) }))
  const [free, doubtful] = (['free', 'doubtful'] as const).map((what) =>
    judged.filter(({ is }) => is === what).map(({ entry }) => join(path, entry)),
  ) as [string[], string[]]
  for (const file of free) removeFile(file)
  if (free.length > 0) report.removed(`reserved addresses in ${path}: ${free.length}`)
  if (doubtful.length > 0) {
    const what = `reserved addresses in ${path}: ${doubtful.length}, such as ${doubtful[0]}`
    report.stays(what, 'their containers may be running: detach them, or remove the files')
  }
  if (free.length === addresses.length) removeFolder(folder, name, report)
}

/** Whether an address is free; `kept`: whose it is, is known, or it is another network's. */
function judge(
  file: string,
  noted: ReadonlySet<number>,
  { networks, running, gone, isUsed }: ReservationInput,
): 'kept' | 'free' | 'doubtful' {
  const address = parseAddress(basename(file))
  const [containerId = '', ifname = ''] = textOf(file).split(/\r?\n/)
  const owner = `${containerId} ${ifname}`
  if (!address || !isIn(basename(file), networks) || running.has(owner)) return 'kept'
  if (gone.has(owner)) return 'free'
  return noted.has(statSync(file).ino) && !isUsed(address) ? 'free' : 'doubtful'
}

function removeFolder(folder: string, name: string, report: Report): void {
  const path = join(folder, name)
  const notes = join(folder, NOTES, name)
  for (const entry of entriesOf(notes) ?? []) removeTree(join(notes, entry))
  // Last what the folder is known by.
  const left = (entriesOf(path) ?? []).filter((entry) => LAST.test(entry))
  for (const entry of ['lock', ...left]) removeFile(join(path, entry))
  removeIfEmpty(path)
  removeNotes(folder, name, report)
  report.removed(path)
}

/**
 * The inodes of the addresses that heddle-ipam gave. Its notes on them are hard links, so one that
 * another IPAM has given since is another file.
 */
function notedInodes(notes: string): ReadonlySet<number> {
  const held = join(notes, 'held')
  const given = (entriesOf(held) ?? []).flatMap((bucket) =>
    (entriesOf(join(held, bucket)) ?? [])
      .filter((name) => name.includes(MADE_BY_HEDDLE))
      .map((name) => join(held, bucket, name)),
  )
  return new Set(given.map((path) => statSync(path).ino))
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
