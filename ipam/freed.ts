import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readIfThere,
  renameSync,
  writeFileSync,
  writeSync,
} from '#fs'
import type { LockedFolder } from './folder.ts'

/**
 * Addresses freed lately, one a line, `10.1.2.3 <seconds since 1970>`, the oldest first. Whoever
 * spoke to the container that had one still has its link address in mind (cni.md, pain 9).
 */
const fileName = 'freed'
/** A neighbour entry is confirmed anew after 15 to 45 s (net.ipv4.neigh.default.base_reachable_time). */
const restSeconds = 60
/** Room for 256 IPv6 addresses; at twice that the older half is dropped. */
const keepBytes = 12_800

/** Remembers that addresses have been freed now. */
export function noteFreed({ sidecar }: LockedFolder, addresses: readonly string[]): void {
  if (addresses.length === 0) return
  const now = seconds()
  let text = ''
  for (const address of addresses.slice(-256)) text += `${address} ${now}\n`
  const file = `${sidecar}/${fileName}`
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600)
  try {
    writeSync(fd, text)
    if (fstatSync(fd).size > keepBytes * 2) shorten(file)
  } finally {
    closeSync(fd)
  }
}

function shorten(file: string): void {
  const text = (readIfThere(file) ?? '').slice(-keepBytes)
  writeFileSync(`${file}.new`, text.slice(text.indexOf('\n') + 1), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Tells the addresses that have been freed too lately to be given to somebody else. */
export function readResting({ sidecar }: LockedFolder): (address: string) => boolean {
  const lines = readIfThere(`${sidecar}/${fileName}`)
  if (lines === undefined) return () => false
  const text = `\n${lines}`
  const now = seconds()
  return (address) => {
    const at = text.lastIndexOf(`\n${address} `)
    if (at < 0) return false
    const age = now - Number.parseInt(text.slice(at + address.length + 2), 10)
    // Less than none after the clock was set back: then nothing is known.
    return age >= 0 && age < restSeconds
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1000)
}
