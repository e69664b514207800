/** An estimate with the ends of its 95% confidence interval. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** The middle of the values, or the mean of the two in the middle; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).toSorted()
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export function ratioOfMedians(a: readonly number[], b: readonly number[]): number {
  return median(a) / median(b)
}

export function differenceOfMedians(a: readonly number[], b: readonly number[]): number {
  return median(a) - median(b)
}

/** Pairs of one's and the other's samples. */
export function zip(a: readonly number[], b: readonly number[]): [number, number][] {
  return a.map((value, i) => [value, b[i] ?? Number.NaN])
}

/**
 * Estimates a statistic of pairs of samples, with a percentile bootstrap: pairs are drawn together,
 * since what slowed one of them down will often have slowed the other. The same samples give the
 * same answer: the draws come from a fixed seed.
 */
export function bootstrap(
  pairs: readonly (readonly [number, number])[],
  statistic: (first: readonly number[], second: readonly number[]) => number,
  rounds = 2000,
): Estimate {
  const random = xorshift(1)
  const draw = () => pairs[Math.floor(random() * pairs.length)] ?? [Number.NaN, Number.NaN]
  const estimates = Array.from({ length: rounds }, () => of(pairs.map(draw), statistic))
  const sorted = Float64Array.from(estimates).toSorted()
  const at = (share: number) => sorted[Math.round(share * (rounds - 1))] ?? Number.NaN
  return { value: of(pairs, statistic), low: at(0.025), high: at(0.975) }
}

function of(
  pairs: readonly (readonly [number, number])[],
  statistic: (first: readonly number[], second: readonly number[]) => number,
): number {
  return statistic(
    pairs.map(([first]) => first),
    pairs.map(([, second]) => second),
  )
}

/** Marsaglia's xorshift of 32 bits, as numbers from 0 to below 1: good enough to resample with. */
function xorshift(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
