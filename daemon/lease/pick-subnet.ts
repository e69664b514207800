import { createHash } from 'node:crypto'
import type { Pool } from '../../conf/network-config.ts'
import { offsetAddress } from '../../ip/address.ts'
import { firstAddress, lastAddress, type Prefix, prefixSize } from '../../ip/prefix.ts'

/**
 * Chooses a free subnet of the pool, or none if all are taken. Where it starts to look follows from
 * `seed`, the node's id, so that nodes that choose at the same moment seldom choose the same, and
 * a node that lost everything but its id tends to get its old place back.
 */
export function pickSubnet(pool: Pool, taken: readonly Prefix[], seed: string): Prefix | undefined {
  const size = prefixSize({ address: pool.min, length: pool.subnetLen })
  const count = (pool.max.value - pool.min.value) / size + 1n
  const start = hash(`${seed} ${pool.network.address.family}`) % count
  const blocked = takenRanges(pool, taken, { size, count })
  const index = firstFree(blocked, start, count) ?? firstFree(blocked, 0n, start)
  if (index === undefined) return undefined
  return { address: offsetAddress(pool.min, index * size), length: pool.subnetLen }
}

function hash(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64BE()
}

interface Range {
  readonly from: bigint
  readonly to: bigint
}

/** The numbers of the subnets that the taken prefixes touch, in order. */
function takenRanges(
  pool: Pool,
  taken: readonly Prefix[],
  { size, count }: { size: bigint; count: bigint },
): Range[] {
  const { family, value: base } = pool.min
  return taken
    .filter((prefix) => prefix.address.family === family)
    .map((prefix) => ({
      from: floorDivide(firstAddress(prefix).value - base, size),
      to: floorDivide(lastAddress(prefix).value - base, size),
    }))
    .filter(({ from, to }) => to >= 0n && from < count)
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))
}

/** The first number in [from, end) that no range covers. */
function firstFree(blocked: readonly Range[], from: bigint, end: bigint): bigint | undefined {
  let candidate = from
  for (const range of blocked) {
    if (range.from > candidate) break
    if (range.to >= candidate) candidate = range.to + 1n
  }
  return candidate < end ? candidate : undefined
}

function floorDivide(a: bigint, b: bigint): bigint {
  return a >= 0n ? a / b : -((-a + b - 1n) / b)
}
