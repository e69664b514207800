const MASK = 0xffffffffffffffffn

/**
 * A 64-bit hash of text, the same on every machine and in every release: device names, MAC
 * addresses and table names are derived from it. FNV-1a (draft-eastlake-fnv) over UTF-8, then the
 * finalizer of splitmix64, because FNV alone barely moves its upper bits for short texts. Not for
 * secrets: `node:crypto` would cost a plugin 2 ms at every start.
 */
export function stableHash(text: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK
  }
  hash = ((hash ^ (hash >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK
  hash = ((hash ^ (hash >> 27n)) * 0x94d049bb133111ebn) & MASK
  return hash ^ (hash >> 31n)
}
