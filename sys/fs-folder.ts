/** Folders, by getdents64(2): it tells each name's inode too, which `node:fs` would ask for one by one. */
import { cPath, decoder, type Path, retry, retryIfThere, scratch } from './fs-call.ts'
import { address, libc } from './libc.ts'

export const O_DIRECTORY = process.arch === 'arm64' ? 0x4000 : 0x10000
const O_CLOEXEC = 0x80000

/** struct linux_dirent64: inode 0, offset 8, record length 16, type 18, name 19, with a final NUL. */
const LENGTH = 16
const NAME = 19
const DOT = 0x2e
const CHUNK = 0x8000

/** The names of a folder, without `.` and `..`, in the file system's order. */
export interface Listing {
  /** What inode each name stands for. */
  readonly inodes: readonly number[]
  name(index: number): string
}

/** Names without `.` and `..`, in the file system's order. */
export function readdirSync(path: Path): string[] {
  const fd = retry(() => openFolder(path), 'scandir', path)
  try {
    const names: string[] = []
    for (;;) {
      const length = read(fd, scratch, path)
      if (length === 0) return names
      for (let at = 0; at < length; at += lengthAt(scratch, at)) {
        const name = nameAt(scratch, at)
        if (name !== '.' && name !== '..') names.push(name)
      }
    }
  } finally {
    libc.close(fd)
  }
}

/** Names and inodes; a name becomes text only when it is asked for. */
export function listFolder(path: Path): Listing {
  const fd = retry(() => openFolder(path), 'scandir', path)
  try {
    const inodes: number[] = []
    const places: number[] = []
    const chunks: Uint8Array[] = []
    const buffer = new Uint8Array(CHUNK)
    for (;;) {
      const length = read(fd, buffer, path)
      if (length === 0) return { inodes, name: (index) => nameIn(chunks, places[index] ?? 0) }
      const chunk = buffer.slice(0, length)
      chunks.push(chunk)
      index(chunk, (chunks.length - 1) * CHUNK, inodes, places)
    }
  } finally {
    libc.close(fd)
  }
}

/** Appends inode and place of each record, dots aside. Plain loops: this is never compiled. */
function index(chunk: Uint8Array, base: number, inodes: number[], places: number[]): void {
  const words = new Uint32Array(chunk.buffer)
  for (let at = 0; at < chunk.length; ) {
    const word = at >> 2
    const packed = words[word + 4] ?? 0
    // The name's first byte is the last of the word that begins with the record's length.
    if (packed >>> 24 !== DOT || !isDots(chunk, at)) {
      inodes.push((words[word] ?? 0) + (words[word + 1] ?? 0) * 0x100000000)
      places.push(base + at)
    }
    at += packed & 0xffff
  }
}

function nameIn(chunks: readonly Uint8Array[], place: number): string {
  return nameAt(chunks[Math.floor(place / CHUNK)] ?? scratch, place % CHUNK)
}

/** The names that start with a text, an ASCII one; none when there is no such folder. */
export function findNames(path: Path, prefix: string): string[] {
  const found: string[] = []
  const fd = retryIfThere(() => openFolder(path), 'scandir', path)
  if (fd === undefined) return found
  const first = prefix.charCodeAt(0)
  try {
    for (;;) {
      const length = read(fd, scratch, path)
      if (length === 0) return found
      for (let at = 0; at < length; at += lengthAt(scratch, at)) {
        // Most names are out after one byte.
        if (scratch[at + NAME] !== first) continue
        const name = nameAt(scratch, at)
        if (name.startsWith(prefix)) found.push(name)
      }
    }
  } finally {
    libc.close(fd)
  }
}

function lengthAt(chunk: Uint8Array, at: number): number {
  return (chunk[at + LENGTH] ?? 0) + (chunk[at + LENGTH + 1] ?? 0) * 256
}

function openFolder(path: Path): number {
  const bytes = cPath(path)
  return libc.open(address(bytes), O_DIRECTORY | O_CLOEXEC, 0)
}

function read(fd: number, buffer: Uint8Array, path: Path): number {
  return retry(() => libc.getdents64(fd, address(buffer), buffer.length), 'scandir', path)
}

function nameAt(chunk: Uint8Array, at: number): string {
  return decoder.decode(chunk.subarray(at + NAME, chunk.indexOf(0, at + NAME)))
}

function isDots(chunk: Uint8Array, at: number): boolean {
  const name = nameAt(chunk, at)
  return name === '.' || name === '..'
}
