import type { Estimate } from './statistics.ts'

/** One line of the report: heddle's time next to what it is held against. */
export interface Comparison {
  readonly name: string
  readonly heddleMs: number
  readonly referenceMs: number
  /** heddle's median as a share of the other's. */
  readonly ratio: Estimate
  /** What the ratio should be at most. */
  readonly goal?: number
}

/** Medians of a plain ADD in ms. */
export interface Floor {
  /** An empty executable, start to end. */
  readonly startMs: number
  /** Beyond that: processor time in the kernel, its handling of page faults included, and in heddle. */
  readonly kernelMs: number
  readonly ownMs: number
  /** By the clock. */
  readonly overEmpty: Estimate & { readonly goal: number }
}

export interface Report {
  readonly pairs: number
  readonly comparisons: readonly Comparison[]
  readonly floor: Floor
  /** Medians in ms. */
  readonly coldStart: { readonly heddleMs: number; readonly referenceMs: number }
}

const nameWidth = 32

export function render({ pairs, comparisons, floor, coldStart }: Report): string {
  const { startMs, kernelMs, ownMs, overEmpty } = floor
  const lines = comparisons.map(({ name, heddleMs, referenceMs, ratio, goal }) =>
    [
      name.padEnd(nameWidth),
      ms(heddleMs).padStart(9),
      ms(referenceMs).padStart(10),
      `  ${interval(ratio)}`.padEnd(25),
      goal === undefined ? '' : verdict(ratio.value, goal),
    ].join(''),
  )
  const head = `${''.padEnd(nameWidth + 3)}heddle reference  ratio (95% interval)     goal`
  return `heddle and Debian's reference plugins: medians of ${pairs} pairs, IPv4, MTU 1450

${[head, ...lines].map((line) => line.trimEnd()).join('\n')}

ADD: ${ms(startMs)} are the start of an empty executable; beyond it ${interval(overEmpty)} ms by the clock, ${verdict(overEmpty.value, overEmpty.goal)};
of processor time ${ms(kernelMs)} in the kernel, page faults included, and ${ms(ownMs)} in heddle's own code
start with a cold page cache: ${ms(coldStart.heddleMs)}, the reference ${ms(coldStart.referenceMs)}
`
}

function ms(value: number): string {
  return `${value.toFixed(value < 100 ? 2 : 0)} ms`
}

function interval({ value, low, high }: Estimate): string {
  return `${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
}

function verdict(value: number, goal: number): string {
  return `at most ${goal}: ${value <= goal ? 'pass' : 'miss'}`
}
