import { type Listing, listFolder, readdirSync, statfsSync, statSync, unlinkIfThere } from '#fs'
import {
  type IpamDeps,
  isRemnant,
  isReservationName,
  type LockedFolder,
  makeInSidecar,
  readReservation,
  removeRemnant,
} from './folder.ts'
import { readState, writeState } from './index-state.ts'
import { keyOf, type Pin, pin, readPin } from './pins.ts'
import { stagingFolder } from './stage.ts'

/** Longer than any ADD may wait for the lock. */
const stagedForMs = 60_000
/** An address's name is at most 45 long; other names have to fit into a pin's. */
const longestName = 64

/**
 * Makes the pins tell what a folder holds, and records that. Only names and inodes are read, and the
 * text of what has no pin: after another program's ADD, one reservation. Returns the folder's stamp;
 * undefined when a newer heddle keeps the pins.
 * Frees what heddle reserved in an earlier boot, and what a killed upstream reserved for nobody.
 */
export function synchronize(
  folder: LockedFolder,
  bootId: string,
  deps: IpamDeps,
): number | undefined {
  const state = readState(folder.sidecar)
  if (state === 'newer') return undefined
  if (!state) makeInSidecar(folder.sidecar)
  const staged = readStaged(folder)
  if (state?.bootId !== bootId) {
    if (state) reclaim(folder, staged, deps)
    removePins(folder)
  }
  comparePins(folder, staged, deps)
  for (const path of staged.remnants) unlinkIfThere(path)
  // Where heddle 0.1 staged, under the lock.
  unlinkIfThere(`${folder.sidecar}/reservation`)
  return writeState(folder, bootId)
}

interface StagedFiles {
  /** Those that have an address already: their ADD was killed, since it had the lock. */
  readonly linked: ReadonlySet<number>
  /** What nobody waits for any more. */
  readonly remnants: readonly string[]
}

function readStaged({ sidecar }: LockedFolder): StagedFiles {
  const linked = new Set<number>()
  const remnants: string[] = []
  const folder = stagingFolder(sidecar)
  for (const name of namesIn(folder)) {
    const path = `${folder}/${name}`
    const stats = existing(path)
    if (!stats) continue
    const { ino, nlink, mtimeMs } = stats
    if (nlink > 1) linked.add(ino)
    if (nlink > 1 || Math.abs(Date.now() - mtimeMs) > stagedForMs) remnants.push(path)
  }
  return { linked, remnants }
}

/** An ADD that waits for the lock may give up and take its file away. */
function existing(path: string): ReturnType<typeof statSync> | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** One folder of pins. */
interface Bucket {
  readonly path: string
  readonly listing: Listing
}

function listPins({ sidecar }: LockedFolder): Bucket[] {
  return namesIn(`${sidecar}/held`).map((name) => {
    const path = `${sidecar}/held/${name}`
    return { path, listing: listFolder(path) }
  })
}

function removePins(folder: LockedFolder): void {
  for (const { path, listing } of listPins(folder)) {
    for (let i = 0; i < listing.inodes.length; i++) unlinkIfThere(`${path}/${listing.name(i)}`)
  }
}

/**
 * Takes away the pins of what is no longer there and gives one to what is new. Whatever has an inode
 * that occurs as often in the folder as among the pins is as it was.
 */
function comparePins(folder: LockedFolder, { linked }: StagedFiles, deps: IpamDeps): void {
  const there = listFolder(folder.path)
  const pins = listPins(folder)
  const listings = pins.map(({ listing }) => listing)
  const changed = differing(sortedInodes([there]), sortedInodes(listings))
  const fresh = new Map<string, number>()
  for (const at of placesOf(changed, there)) {
    const name = there.name(at)
    if (isReservationName(name)) fresh.set(name, there.inodes[at] ?? 0)
  }
  for (const { path, listing } of pins) {
    for (const at of placesOf(changed, listing)) {
      const name = listing.name(at)
      const address = readPin(name)?.address ?? ''
      if (fresh.get(address) === listing.inodes[at]) fresh.delete(address)
      else unlinkIfThere(`${path}/${name}`)
    }
  }
  for (const [name, inode] of fresh) {
    adopt(folder, { address: name, maker: linked.has(inode) ? 'heddle' : 'other' }, deps)
  }
}

/** In one piece of memory, copied by the list: number by number it takes twenty times as long. */
function sortedInodes(listings: readonly Listing[]): Float64Array {
  let length = 0
  for (const { inodes } of listings) length += inodes.length
  const all = new Float64Array(length)
  let at = 0
  for (const { inodes } of listings) {
    all.set(inodes, at)
    at += inodes.length
  }
  return all.sort()
}

/** The numbers that do not occur equally often in both, which are sorted. */
function differing(x: Float64Array, y: Float64Array): Set<number> {
  const found = new Set<number>()
  let i = 0
  let j = 0
  while (i < x.length || j < y.length) {
    const left = x[i] ?? Infinity
    const right = y[j] ?? Infinity
    if (left < right) found.add(left)
    else if (right < left) found.add(right)
    if (left <= right) i++
    if (right <= left) j++
  }
  return found
}

/** Where these inodes are. Few are searched for, which takes no loop of ours over the rest. */
function placesOf(wanted: ReadonlySet<number>, { inodes }: Listing): number[] {
  const places: number[] = []
  if (wanted.size > 64) {
    for (let at = 0; at < inodes.length; at++) if (wanted.has(inodes[at] ?? 0)) places.push(at)
    return places
  }
  for (const inode of wanted) {
    for (let at = inodes.indexOf(inode); at >= 0; at = inodes.indexOf(inode, at + 1))
      places.push(at)
  }
  return places
}

function adopt(folder: LockedFolder, pinned: Pin, deps: IpamDeps): void {
  const name = pinned.address
  const reservation = readReservation(folder, name)
  if (reservation === undefined) return
  if (isRemnant(reservation)) return removeRemnant(folder, name, deps)
  if (reservation.content === undefined || encodeURIComponent(name).length > longestName) return
  const file = { path: `${folder.path}/${name}`, move: false }
  pin(folder.sidecar, file, keyOf(reservation.content.trim()), pinned)
}

/**
 * Frees what heddle reserved in the boot that the pins are of: its containers ended with it. Only
 * where the address still is the very file that was pinned; what another program has put in its
 * place since is that one's.
 */
function reclaim(folder: LockedFolder, { linked }: StagedFiles, { log }: IpamDeps): void {
  if (isShared(folder.path)) {
    log.warn(
      'not freeing what was reserved before the restart: other machines may share the folder',
      {
        folder: folder.path,
      },
    )
    return
  }
  const inodes = new Map<string, number>()
  const { inodes: all, name } = listFolder(folder.path)
  for (const [i, inode] of all.entries()) inodes.set(name(i), inode)
  const freed: string[] = []
  for (const { listing } of listPins(folder)) {
    for (const [i, inode] of listing.inodes.entries()) {
      const { address, maker } = readPin(listing.name(i)) ?? { address: '', maker: 'other' }
      if (maker === 'heddle' && inodes.get(address) === inode) freed.push(address)
    }
  }
  for (const [address, inode] of inodes) if (linked.has(inode)) freed.push(address)
  for (const address of freed) unlinkIfThere(`${folder.path}/${address}`)
  if (freed.length === 0) return
  log.info('freed the addresses that were reserved before the machine was restarted', {
    folder: folder.path,
    count: freed.length,
    addresses: freed.slice(0, 20).join(' '),
  })
}

/**
 * File systems of one machine (uapi/linux/magic.h). On any other, such as NFS, several may share the
 * folder, whose boots say nothing about each other.
 */
const localTypes: ReadonlySet<number> = new Set([
  0xef53, // ext2 to ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
  0xca451a4e, // bcachefs
])

function isShared(path: string): boolean {
  return !localTypes.has(statfsSync(path).type)
}
