/**
 * A 64-bit hash of text, the same on every machine and in every release: device names, MAC
 * addresses and table names are derived from it. Two rounds of MurmurHash3's 32-bit variant
 * (public domain) with different seeds over the UTF-16 code units, in plain 32-bit arithmetic: a
 * big integer for each character would cost a plugin more than the rest of its naming. Not for
 * secrets; `node:crypto` would cost it 2 ms at every start.
 */
export function stableHash(text: string): bigint {
  return (BigInt(murmur(text, 0x9747b28c)) << 32n) | BigInt(murmur(text, 0x3c074a61))
}

function murmur(text: string, seed: number): number {
  let hash = seed
  for (let at = 0; at < text.length; at++) {
    let block = Math.imul(text.charCodeAt(at), 0xcc9e2d51)
    block = Math.imul((block << 15) | (block >>> 17), 0x1b873593)
    hash ^= block
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
  }
  hash ^= text.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
