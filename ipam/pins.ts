/**
 * The index of a network's reservations, so that an owner's are found without reading them all:
 *
 *     <dataDir>/.heddle/<network>/new/                   reservations that are being made (stage.ts)
 *     <dataDir>/.heddle/<network>/held/17/KEY@10.1.2.3   a reservation that heddle made in this boot
 *     <dataDir>/.heddle/<network>/held/17/KEY=10.1.2.4   somebody else's, or an earlier boot's
 *     <dataDir>/.heddle/<network>/state                  whether all this can be believed (sync.ts)
 *     <dataDir>/.heddle/<network>/freed                  what must not be given away yet (freed.ts)
 *
 * KEY is the container's id, percent-encoded; of a longer one its beginning and a hash. The number
 * before it spreads the names over folders by the same hash.
 *
 * A pin is a second hard link to the reservation's file. So it costs no inode (making one takes 36 µs
 * on ext4 and freeing it 76, a name 14 and 8); the file that was staged becomes it by one rename; and
 * its inode cannot be another file's while it is there, which tells for certain, whatever the clock
 * says, which reservations are the ones we knew. What a pin says of an owner is a hint only: the
 * reservation's own text decides.
 */
import { existsSync, findNames, linkIfFree, renameSync, unlinkIfThere } from '#fs'
import { makeInSidecar } from './folder.ts'

/** With so many a look-up among 20,000 reservations takes 0.1 ms. */
const buckets = 32

/** Who made a reservation. */
export type Maker = 'heddle' | 'other'

const marks: Readonly<Record<Maker, string>> = { heddle: '@', other: '=' }
/** What a listing of all pins takes grows with the length of their names. */
const longestKey = 40
const keptOfLonger = 12

/** What a pin's name says. */
export interface Pin {
  readonly address: string
  readonly maker: Maker
}

/** What the pins of one container have in common, and hardly any others. */
export interface PinKey {
  readonly bucket: number
  readonly text: string
}

/** The key of a reservation by its text: what is before the interface is the container's id. */
export function keyOf(content: string): PinKey {
  const end = content.indexOf('\r\n')
  const text = encodeURIComponent(end < 0 ? content : content.slice(0, end))
  let hash = 0
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0
  hash >>>= 0
  const bucket = hash % buckets
  if (text.length <= longestKey) return { bucket, text }
  return { bucket, text: `${text.slice(0, keptOfLonger)}~${hash.toString(36)}` }
}

function bucketPath(sidecar: string, bucket: number): string {
  return `${sidecar}/held/${bucket}`
}

/** The addresses that have a pin under a key. */
export function findPins(sidecar: string, key: PinKey): string[] {
  const found: string[] = []
  for (const name of findNames(bucketPath(sidecar, key.bucket), key.text)) {
    // Not one of a longer key.
    const pin = readPin(name, key.text.length)
    if (pin) found.push(pin.address)
  }
  return found
}

/** Reads a pin's name; `at` is where the mark must be, when that is known. */
export function readPin(name: string, at = name.search(/[@=]/)): Pin | undefined {
  const mark = name.charAt(at)
  if (mark !== marks.heddle && mark !== marks.other) return undefined
  const maker = mark === marks.heddle ? 'heddle' : 'other'
  return { address: decodeURIComponent(name.slice(at + 1)), maker }
}

/** Gives a file a pin; `move` takes its old name away. */
export function pin(
  sidecar: string,
  file: { readonly path: string; readonly move: boolean },
  key: PinKey,
  { address, maker }: Pin,
): void {
  const bucket = bucketPath(sidecar, key.bucket)
  if (!existsSync(bucket)) makeInSidecar(bucket)
  put(file, pinPath(sidecar, key, { address, maker }))
}

/** Takes an address's pin away, if it has one. */
export function unpin(sidecar: string, key: PinKey, address: string): void {
  if (unlinkIfThere(pinPath(sidecar, key, { address, maker: 'heddle' }))) return
  unlinkIfThere(pinPath(sidecar, key, { address, maker: 'other' }))
}

function pinPath(sidecar: string, key: PinKey, { address, maker }: Pin): string {
  return `${bucketPath(sidecar, key.bucket)}/${key.text}${marks[maker]}${encodeURIComponent(address)}`
}

function put(file: { readonly path: string; readonly move: boolean }, path: string): void {
  if (file.move) {
    renameSync(file.path, path)
    return
  }
  if (linkIfFree(file.path, path)) return
  unlinkIfThere(path)
  linkIfFree(file.path, path)
}
