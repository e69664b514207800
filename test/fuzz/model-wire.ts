/** What all parts of the model kernel read messages by. */
import { walkAttrs } from '../../netlink/codec/table.ts'

/** uapi/asm-generic/errno*.h */
export const errnos = {
  ENOENT: 2,
  ESRCH: 3,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ERANGE: 34,
  ERESTART: 85,
  EOPNOTSUPP: 95,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  EHOSTUNREACH: 113,
} as const

const NLM_F_DUMP = 0x300

export function isDump(flags: number): boolean {
  return (flags & NLM_F_DUMP) === NLM_F_DUMP
}

/** Attributes by number, unread; the last of a number wins. */
export function rawAttrs(bytes: Uint8Array): Map<number, Uint8Array> {
  return new Map(Array.from(walkAttrs(bytes), ({ type, payload }) => [type, payload]))
}

/** Bytes as text to compare by. */
export function bytesKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
