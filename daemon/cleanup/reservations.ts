import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAddress } from '../../ip/address.ts'
import { type Prefix, prefixContains } from '../../ip/prefix.ts'
import type { LockFile } from '../locks.ts'
import { entriesOf, removeFile, removeIfEmpty, removeTree } from './files.ts'
import type { Report } from './report.ts'

/** Where host-local keeps addresses unless a configuration names another folder. */
const RESERVATIONS = '/var/lib/cni/networks'
const NOTES = '.heddle'
/** Upstream's lock is held for the time of an ADD. */
const LOCK_MS = 5_000
const LAST = /^last_reserved_ip\./

export interface ReservationInput {
  readonly networks: readonly Prefix[]
  /** Who is still there, as `<container id> <ifname>`. */
  readonly running: ReadonlySet<string>
  readonly lockFile: LockFile
  readonly report: Report
  readonly folder?: string
}

/**
 * Removes the addresses of these networks that no running container has, and where none is left,
 * the CNI network's folder and heddle-ipam's notes on it. Upstream's lock is held meanwhile, so that
 * a plugin that runs sees all of it or nothing.
 */
export function removeReservations(input: ReservationInput): void {
  const { folder = RESERVATIONS } = input
  for (const name of entriesOf(folder) ?? []) {
    if (name !== NOTES && isOfNetworks(join(folder, name), input.networks)) {
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
function isOfNetworks(path: string, networks: readonly Prefix[]): boolean {
  const names = entriesOf(path) ?? []
  // A kill left it so: host-local makes its lock first.
  if (names.length === 0) return true
  const last = names.filter((name) => LAST.test(name)).map((name) => textOf(join(path, name)))
  return [...names, ...last].some((text) => isIn(text, networks))
}

function isIn(text: string, networks: readonly Prefix[]): boolean {
  const address = parseAddress(text.trim())
  return address !== undefined && networks.some((network) => prefixContains(network, address))
}

function removeNetwork(
  folder: string,
  name: string,
  { networks, running, lockFile, report }: ReservationInput,
): void {
  const path = join(folder, name)
  using held = new DisposableStack()
  held.use(lockFile(join(path, 'lock'), { mode: 0o750, timeoutMs: LOCK_MS }))
  const addresses = (entriesOf(path) ?? []).filter((entry) => parseAddress(entry))
  const free = addresses.filter((entry) => {
    const [containerId = '', ifname = ''] = textOf(join(path, entry)).split(/\r?\n/)
    return isIn(entry, networks) && !running.has(`${containerId} ${ifname}`)
  })
  for (const entry of free) removeFile(join(path, entry))
  if (free.length > 0) report.removed(`reserved addresses in ${path}: ${free.length}`)
  if (free.length < addresses.length) return
  removeNotes(folder, name, report)
  // Last what the folder is known by.
  const left = (entriesOf(path) ?? []).filter((entry) => LAST.test(entry))
  for (const entry of ['lock', ...left]) removeFile(join(path, entry))
  removeIfEmpty(path)
  report.removed(path)
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
