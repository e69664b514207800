import test from 'ava'
import { stableHash } from '../../ip/hash.ts'

test('stableHash keeps its values from release to release', (t) => {
  t.is(stableHash('').toString(16), 'ebb6c228a1e1fa28')
  t.is(stableHash('heddle').toString(16), 'fee76dd3125eea30')
})

test('stableHash spreads texts that differ in one character over all bits', (t) => {
  const hashes = Array.from({ length: 4096 }, (_, i) => stableHash(`container-${i}`))
  for (const shift of [0n, 16n, 32n, 48n]) {
    const buckets = new Set(hashes.map((hash) => (hash >> shift) & 0xffffn))
    // 4,096 balls in 65,536 bins: 3,970 distinct are expected, with a deviation of about 11.
    t.true(buckets.size > 3900, `bits ${shift}: ${buckets.size}`)
  }
})
