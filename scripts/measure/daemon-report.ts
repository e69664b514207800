import type { Churn, Costs, DaemonReport } from './daemon.ts'

const nameWidth = 44

/** One line of the table: a value for each number of leases, and what it should be at most. */
interface Row {
  readonly name: string
  readonly of: (costs: Costs) => number
  readonly unit: string
  readonly digits: number
  /** What the value should stay under with the most leases. */
  readonly goal?: number
}

const rows: readonly Row[] = [
  { name: 'time to ready', of: ({ readyMs }) => readyMs, unit: 'ms', digits: 0 },
  {
    name: 'of it planning and programming',
    of: ({ programMs }) => programMs,
    unit: 'ms',
    digits: 0,
  },
  {
    name: 'plain netlink batches of the same entries',
    of: ({ rawMs }) => rawMs,
    unit: 'ms',
    digits: 0,
  },
  {
    name: 'programming against plain batches',
    of: (c) => c.programMs / c.rawMs,
    unit: '',
    digits: 2,
    goal: 2,
  },
  {
    name: 'processor time until all is calm',
    of: (c) => c.startProcessorMs,
    unit: 'ms',
    digits: 0,
  },
  { name: 'resident memory', of: ({ memory }) => memory.now, unit: 'MB', digits: 0, goal: 150 },
  { name: 'of it not files', of: ({ memory }) => memory.own, unit: 'MB', digits: 0 },
  { name: 'resident memory, peak', of: ({ memory }) => memory.peak, unit: 'MB', digits: 0 },
  {
    name: 'from commit to kernel, median of 50',
    of: (c) => c.commitMs,
    unit: 'ms',
    digits: 1,
    goal: 50,
  },
  { name: 'from commit to kernel, worst', of: (c) => c.worstCommitMs, unit: 'ms', digits: 1 },
  {
    name: 'idle for 60 s, share of a processor',
    of: (c) => c.idleShare * 100,
    unit: '%',
    digits: 2,
    goal: 1,
  },
]

export function renderDaemon({ costs, churn }: DaemonReport): string {
  const head = `${'leases'.padEnd(nameWidth)}${costs.map(({ leases }) => `${leases}`.padStart(12)).join('')}  goal`
  const lines = rows.map(({ name, of, unit, digits, goal }) => {
    const values = costs.map(of)
    const cells = values.map((value) => `${value.toFixed(digits)} ${unit}`.trim().padStart(12))
    const last = values.at(-1) ?? Number.NaN
    const verdict = goal === undefined ? '' : `  under ${goal}: ${last < goal ? 'pass' : 'miss'}`
    return `${name.padEnd(nameWidth)}${cells.join('')}${verdict}`
  })
  return `heddled on one host, leases of others in etcd, vxlan, IPv4

${[head, ...lines].join('\n')}

${renderChurn(churn)}
`
}

function renderChurn({
  perSecond,
  seconds,
  missing,
  commitMs,
  lateMs,
  processorShare,
  memory,
}: Churn): string {
  const rate = perSecond.toFixed(0)
  return [
    `${rate} leases changing a second for ${seconds.toFixed(0)} s: ${missing} not in the kernel within 10 s of their commit,`,
    `the others after ${commitMs.toFixed(1)} ms (99%: ${lateMs.toFixed(1)} ms); ${(processorShare * 100).toFixed(0)}% of a processor, ${memory.now.toFixed(0)} MB`,
  ].join('\n')
}
