import { readdirSync } from 'node:fs'
import type { Said } from '../../log/recent.ts'
import type { Durations, Telemetry } from './telemetry.ts'

/** What is so at the moment of a scrape, and not counted by anybody. */
export interface Gauges {
  readonly isReady: boolean
  readonly isStoreReachable: boolean
  readonly isConfigRefused: boolean
  /** Seconds until this host's lease ends, negative after that; absent without a lease. */
  readonly leaseHeldSeconds?: number
  /** Peers by state, every state there is. */
  readonly peers: Readonly<Record<string, number>>
  /** Entries wanted in the kernel, by kind, every kind there is. */
  readonly entries: Readonly<Record<string, number>>
  /** How many things are wrong with the network now. */
  readonly problems: number
}

/** Where the numbers come from. */
export interface Numbers {
  readonly version: string
  readonly telemetry: Telemetry
  readonly logCounts: Readonly<Record<Said['level'], number>>
  readonly gauges: Gauges
}

/** One metric: numbers by the value of its label, or one by the empty text where it has none. */
export interface Row<T = number> {
  readonly name: string
  readonly help: string
  readonly label?: string
  /** Empty: the metric is not there now. */
  readonly read: (from: Numbers) => Iterable<readonly [labelValue: string, number: T]>
}

/** All metrics, documented in docs/operations.md. No label has a value that peers or containers choose. */
export const gaugeRows: readonly Row[] = [
  {
    name: 'heddle_build_info',
    help: 'Always 1; the version of heddled.',
    label: 'version',
    read: ({ version }) => [[version, 1]],
  },
  {
    name: 'heddle_ready',
    help: 'Whether the first peers are in the kernel and this host holds its lease.',
    read: ({ gauges }) => flag(gauges.isReady),
  },
  {
    name: 'heddle_problems',
    help: 'Things that are wrong now; heddlectl status tells which.',
    read: ({ gauges }) => single(gauges.problems),
  },
  {
    name: 'heddle_store_reachable',
    help: 'Whether the store answered when it was last asked.',
    read: ({ gauges }) => flag(gauges.isStoreReachable),
  },
  {
    name: 'heddle_config_refused',
    help: 'Whether the store has a network configuration that is not taken.',
    read: ({ gauges }) => flag(gauges.isConfigRefused),
  },
  {
    name: 'heddle_lease_held_seconds',
    help: 'Until the lease of this host ends unless it is renewed; absent without a lease.',
    read: ({ gauges: { leaseHeldSeconds } }) =>
      leaseHeldSeconds === undefined ? [] : single(leaseHeldSeconds),
  },
  {
    name: 'heddle_peers',
    help: 'Peers by how they are reached.',
    label: 'state',
    read: ({ gauges }) => Object.entries(gauges.peers),
  },
  {
    name: 'heddle_entries',
    help: 'Entries wanted in the kernel, by kind.',
    label: 'kind',
    read: ({ gauges }) => Object.entries(gauges.entries),
  },
  {
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the daemon.',
    read: () => single(process.memoryUsage.rss()),
  },
  {
    name: 'process_open_fds',
    help: 'Open file descriptors of the daemon.',
    // The listing itself needs one.
    read: () => single(readdirSync('/proc/self/fd').length - 1),
  },
  {
    name: 'process_start_time_seconds',
    help: 'When the daemon was started, in seconds since the epoch.',
    read: () => single(performance.timeOrigin / 1000),
  },
]

export const counterRows: readonly Row[] = [
  {
    name: 'heddle_repairs_total',
    help: 'Objects in the kernel put back or set right after somebody else changed them.',
    label: 'kind',
    read: ({ telemetry }) => telemetry.repairs.counts,
  },
  {
    name: 'heddle_lease_events_total',
    help: 'Changes of leases seen in the store.',
    label: 'type',
    read: ({ telemetry }) => telemetry.leaseEvents.counts,
  },
  {
    name: 'heddle_lease_renewals_total',
    help: 'Tries to renew the lease of this host, by what came of them.',
    label: 'outcome',
    read: ({ telemetry }) => telemetry.renewals.counts,
  },
  {
    name: 'heddle_watch_resyncs_total',
    help: 'Times all leases were listed anew because the watch could not go on.',
    read: ({ telemetry }) => telemetry.resyncs.counts,
  },
  {
    name: 'heddle_config_changes_total',
    help: 'Changes of the network configuration in the store, by what came of them.',
    label: 'outcome',
    read: ({ telemetry }) => telemetry.configChanges.counts,
  },
  {
    name: 'heddle_store_errors_total',
    help: 'Calls of the store that failed, by reason.',
    label: 'reason',
    read: ({ telemetry }) => telemetry.storeErrors.counts,
  },
  {
    name: 'heddle_netlink_messages_total',
    help: 'Requests sent to the kernel.',
    label: 'protocol',
    read: ({ telemetry }) => telemetry.netlinkMessages.counts,
  },
  {
    name: 'heddle_netlink_dumps_total',
    help: 'Requests to the kernel for whole tables.',
    label: 'protocol',
    read: ({ telemetry }) => telemetry.netlinkDumps.counts,
  },
  {
    name: 'heddle_log_messages_total',
    help: 'Warnings and errors logged.',
    label: 'level',
    read: ({ logCounts }) => Object.entries(logCounts),
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'User and system time spent by the daemon.',
    read: () => {
      const { user, system } = process.cpuUsage()
      return single((user + system) / 1e6)
    },
  },
]

export const histogramRows: readonly Row<Durations>[] = [
  {
    name: 'heddle_event_to_kernel_seconds',
    help: 'From a change of a peer’s lease, as heard, to its entries in the kernel.',
    read: ({ telemetry }) => [['', telemetry.eventToKernelSeconds]],
  },
  {
    name: 'heddle_store_call_seconds',
    help: 'How long calls of the store took.',
    label: 'call',
    read: ({ telemetry }) => telemetry.storeSeconds,
  },
]

function single(number: number): [string, number][] {
  return [['', number]]
}

function flag(isSo: boolean): [string, number][] {
  return single(isSo ? 1 : 0)
}
