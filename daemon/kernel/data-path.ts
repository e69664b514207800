import { type ByFamily, byFamily, familiesOf, valuesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix } from '../../ip/prefix.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import type { Connection } from '../../netlink/connection.ts'
import type { KernelEvent } from '../../netlink/events.ts'
import type { FindPath } from '../backend/backend.ts'
import type { PeerCommands } from '../backend/command.ts'
import {
  type Entry,
  entryId,
  renderDevice,
  renderEntry,
  sameEntry,
  type VxlanDevice,
} from '../backend/kernel-state.ts'
import { rankOf, subnetsAround } from '../backend/odd-lease.ts'
import { type Ours, type PeerPlan, planPeer } from '../backend/plan-peer.ts'
import type { Lease } from '../lease/lease.ts'
import type { RepairKind, Tally } from '../status/telemetry.ts'
import { Complaints } from './complaints.ts'
import { type DeviceError, type EnsuredDevices, ensureDevices } from './devices.ts'
import { Doubts, type EntryKind, leasesOn } from './doubts.ts'
import { eased } from './eased.ts'
import { type Failure, Kernel } from './kernel.ts'
import { type EventContext, judgeEvent } from './kernel-event.ts'
import { type Operation, planChanges, planRepair, type Repair } from './reconcile.ts'
import { type Change, Wanted } from './wanted.ts'

export interface DataPathOptions {
  readonly connection: Connection
  readonly ours: Ours
  /** Networks of earlier runs and chapters: what we left there goes. */
  readonly formerNetworks: readonly Prefix[]
  readonly repairs: Tally<RepairKind>
  readonly log: Logger
  /** Called when something did not work that a repair may mend. */
  readonly onTrouble: () => void
  /** A device is there, perhaps new: its settings are to be looked at. */
  readonly onDevice: (device: VxlanDevice) => void
  /** What is run for a peer; undefined for one that is gone, or for which nothing is. */
  readonly onCommands: (key: string, commands: PeerCommands | undefined) => void
  /** Whether it was wanted, and so there, before this one took over. */
  readonly wasWanted: (what: VxlanDevice | Entry) => boolean
  /** Whether each entry written is worth a line in the log; there may be tens of thousands. */
  readonly tellsAll: boolean
  /** Called for each peer planned and each entry compared; see sys/heap.ts. */
  readonly relieve: () => void
}

/** How a peer is reached, or why not. */
export type PeerOutcome = Pick<PeerPlan, 'state' | 'problem'>

/** What one repair found and did. */
export interface RepairReport {
  readonly created: readonly string[]
  readonly operations: number
  /** Why a device is not as wanted. */
  readonly deviceErrors: readonly DeviceError[]
  /** Whether all is as wanted now. */
  readonly isRight: boolean
}

/** The owner of what this host wants for itself; no lease has such a key. */
const OWN = 'own'
const ALL_KINDS: ReadonlySet<EntryKind> = new Set(['address', 'neighbour', 'fdb', 'route'])
const NOTHING_DONE = { created: [], operations: 0, deviceErrors: [] } as const

/**
 * The kernel's part of the network: keeps it as the leases want it. A change of one lease touches
 * what that lease wants; `repair` compares with what is really there. Synchronous.
 */
export class DataPath {
  readonly #options: DataPathOptions
  readonly #kernel: Kernel
  readonly #wanted = new Wanted()
  readonly #plans = new Map<string, PeerOutcome>()
  readonly #networks: ByFamily<Prefix>
  /** Until what was left there is gone. */
  #former: ByFamily<readonly Prefix[]>
  readonly #context: EventContext
  readonly #doubts = new Doubts()
  readonly #often: Logger
  /** Interfaces that traffic between hosts has left by. */
  readonly #carriers: Set<string>
  /** Entries that are not in the kernel yet: when they are written, that is no repair. */
  readonly #owed = new Set<string>()
  /** What stands for an entry that has somebody else's beside it, by the entry's identity. */
  #disputed: ReadonlyMap<string, Entry> = new Map()
  #standIns: ReadonlyMap<string, Entry> = new Map()
  readonly #complaints: Complaints
  /** Leases of subnets smaller than this host's own. */
  readonly #inner = new Map<string, Lease>()
  /** Names of our devices that interfaces of somebody else have. */
  #taken: ReadonlySet<string> = new Set()
  #isFirst = true
  #hasPruned = false

  constructor(options: DataPathOptions) {
    this.#options = options
    this.#often = limited(options.log)
    this.#complaints = new Complaints(options.log)
    this.#kernel = new Kernel(options.connection)
    const { backend, networks, subnets, uplinks } = options.ours
    this.#wanted.set(OWN, 0, backend.own(subnets))
    this.#networks = networks
    this.#former = byFamily((family) => {
      const former = options.formerNetworks.filter(({ address }) => address.family === family)
      return former.length > 0 ? former : undefined
    })
    this.#carriers = new Set(valuesOf(uplinks).map(({ name }) => name))
    this.#context = {
      devices: backend.devices,
      carries: (name) => this.#carriers.has(name),
      networks: valuesOf(networks),
      usesPaths: backend.usesPaths,
      known: (index) => this.#kernel.known(index),
      indexOf: (name) => this.#kernel.indexOf(name),
      wanted: (id) => this.#standIns.get(id) ?? this.#wanted.get(id),
    }
  }

  /** How each peer is reached, by its lease's key. */
  get plans(): ReadonlyMap<string, PeerOutcome> {
    return this.#plans
  }

  /** Everything that is wanted in the kernel's tables. */
  get entries(): Iterable<Entry> {
    return this.#wanted
  }

  /** What keeps the kernel from being as wanted; empty when it is. */
  get problems(): readonly string[] {
    return this.#complaints.problems
  }

  /** Whether the kernel's events left something to look at. */
  get isInDoubt(): boolean {
    return this.#doubts.any
  }

  /** The device or entry that is wanted; for who comes after, to tell what was there. */
  wants(what: VxlanDevice | Entry): boolean {
    if ('vni' in what) {
      const device = this.#options.ours.backend.devices.find(({ name }) => name === what.name)
      return device !== undefined && renderDevice(device) === renderDevice(what)
    }
    const wanted = this.#wanted.get(entryId(what))
    return wanted !== undefined && sameEntry(wanted, what)
  }

  /** Takes note of what events say. */
  takeEvents(events: readonly KernelEvent[]): void {
    for (const event of events) {
      this.#doubts.take(judgeEvent(event, this.#context))
      if (event.kind === 'link') this.#kernel.note(event)
    }
  }

  /** One peer's lease is new or other than before, or, if undefined, gone. */
  setPeers(leases: ReadonlyMap<string, Lease | undefined>): void {
    this.#write(this.#planAll(leases))
  }

  /** Makes right what is in doubt, and all of it where that is not known better. */
  mend(leases: ReadonlyMap<string, Lease>, options: { readonly prune: boolean }): RepairReport {
    const { isWhole, kinds, paths } = this.#doubts
    if (isWhole || this.#isFirst || this.#complaints.isRefused) return this.repair(leases, options)
    this.#doubts.clear()
    if (paths.length > 0) this.#write(this.#planAll(leasesOn(paths, leases)))
    if (kinds.size === 0) return { ...NOTHING_DONE, isRight: !this.isInDoubt }
    const { operations, failures } = this.#settle(kinds, options)
    if (failures.length > 0) this.#options.onTrouble()
    return { ...NOTHING_DONE, operations, isRight: failures.length === 0 }
  }

  /**
   * Makes devices and entries as wanted, from whatever there is. Entries of ours that nothing wants
   * go only if `prune`. All peers are planned anew, since paths to them may have changed.
   * @throws NetlinkError when even that cannot be found out
   */
  repair(leases: ReadonlyMap<string, Lease>, options: { readonly prune: boolean }): RepairReport {
    const { created, errors } = this.#makeDevices()
    this.#kernel.refreshLinks()
    this.#doubts.clear()
    const gone = [...this.#plans.keys()].filter((key) => !leases.has(key))
    const changes = this.#planAll(
      new Map([...gone.map((key) => [key, undefined] as const), ...leases]),
    )
    if (!this.#isFirst) for (const change of changes) this.#owe(change)
    const { operations, failures } = this.#settle(ALL_KINDS, options)
    this.#complaints.noteFailures([...errors.map(({ message }) => message), ...failures])
    this.#isFirst = false
    this.#hasPruned ||= options.prune
    const isRight = !this.#complaints.isRefused
    // Whoever has routes there from now on is somebody else.
    if (options.prune && isRight) this.#former = {}
    return { created, operations, deviceErrors: errors, isRight }
  }

  #makeDevices(): EnsuredDevices {
    const { connection, ours, repairs, onDevice } = this.#options
    const { devices } = ours.backend
    const made = ensureDevices(connection, devices)
    const { created, changed, fine } = made
    this.#taken = made.taken
    if (created.length > 0) this.#often.info('devices made', { devices: created.join(' ') })
    if (changed.length > 0) this.#often.info('devices set right', { devices: changed.join(' ') })
    for (const device of devices) {
      const isNew = [...created, ...changed].includes(device.name)
      if (isNew || fine.includes(device.name)) onDevice(device)
      if (!isNew) continue
      if (!this.#isFirst || this.#options.wasWanted(device)) repairs.add('device')
    }
    return made
  }

  /** Plans anew for these peers: what is wanted otherwise than before. */
  #planAll(leases: ReadonlyMap<string, Lease | undefined>): Change[] {
    const { subnets } = this.#options.ours
    for (const [key, lease] of leases) {
      if (lease && subnetsAround(lease, subnets).length > 0) this.#inner.set(key, lease)
      else this.#inner.delete(key)
    }
    // What the others have decides over these, so they come last, and all of them.
    const others = [...leases].filter(([key]) => !this.#inner.has(key))
    const all = new Map([...others, ...this.#inner])
    const find = this.#pathFinder(all)
    return [...all].flatMap(([key, lease]) => this.#plan(key, lease, find))
  }

  #pathFinder(leases: ReadonlyMap<string, Lease | undefined>): FindPath {
    const { backend, subnets } = this.#options.ours
    const addresses = backend.usesPaths
      ? [...leases.values()].flatMap((lease) =>
          familiesOf(subnets).flatMap((family) => lease?.attrs.publicIP[family] ?? []),
        )
      : []
    return this.#kernel.pathFinder(addresses)
  }

  #plan(key: string, lease: Lease | undefined, find: FindPath): Change[] {
    const { ours, onCommands, relieve } = this.#options
    if (!lease) {
      this.#plans.delete(key)
      onCommands(key, undefined)
      return this.#wanted.set(key, 0, [])
    }
    relieve()
    const plan = this.#refuseInner(key, lease) ?? planPeer(lease, ours, find)
    const before = this.#plans.get(key)
    if (plan.problem !== undefined && plan.problem !== before?.problem) {
      this.#often.warn('peer not reached', { lease: key, problem: plan.problem })
    }
    this.#plans.set(key, outcomeOf(plan))
    onCommands(key, plan.commands)
    if (plan.state === 'direct') for (const { device } of plan.entries) this.#carriers.add(device)
    return this.#wanted.set(key, rankOf(lease, ours.subnets), plan.entries)
  }

  #refuseInner(key: string, lease: Lease): PeerPlan | undefined {
    if (!this.#inner.has(key)) return undefined
    const around = subnetsAround(lease, this.#options.ours.subnets)
    const taken = around.find(({ routeId }) => this.#wanted.get(routeId))
    if (!taken) return undefined
    const [subnet, outer] = [formatPrefix(taken.subnet), formatPrefix(taken.outer)]
    return { state: 'skipped', entries: [], problem: `${subnet} is inside another host’s ${outer}` }
  }

  /** Writes changes; what cannot be is left to a repair. */
  #write(changes: readonly Change[]): void {
    const isContested = ({ entry }: Operation): boolean => {
      const id = entryId(entry)
      return this.#taken.has(entry.device) || this.#disputed.has(id) || this.#doubts.has(id)
    }
    const operations = planChanges(changes)
    const [contested, free] = [
      operations.filter(isContested),
      operations.filter((one) => !isContested(one)),
    ]
    this.#log(free)
    const failed = free.length > 0 ? this.#kernel.apply(free).map(({ operation }) => operation) : []
    for (const { entry } of [...contested, ...failed]) this.#owed.add(entryId(entry))
    // A route that is in the way, a device that went: the repair sorts it out.
    if (contested.length + failed.length > 0) this.#options.onTrouble()
  }

  #owe({ before, after }: Change): void {
    const entry = after ?? before
    if (entry) this.#owed.add(entryId(entry))
  }

  /** Compares the tables of these kinds with what is wanted in them, and makes them so. */
  #settle(
    kinds: ReadonlySet<EntryKind>,
    options: { readonly prune: boolean },
  ): { operations: number; failures: string[] } {
    const all = this.#options.ours.backend.devices.map(({ name }) => name)
    const isMissing = (name: string): boolean => this.#kernel.indexOf(name) === undefined
    const missing = new Set(all.filter((name) => isMissing(name) || this.#taken.has(name)))
    const names = all.filter((name) => !missing.has(name))
    const isMeant = ({ kind, device }: Entry): boolean => kinds.has(kind) && !missing.has(device)
    const wanted = {
      get: (id: string) => this.#wanted.get(id),
      entries: () => this.#wanted.entries().filter(isMeant),
    }
    const found = this.#kernel.read(kinds, {
      devices: names,
      networks: this.#networks,
      former: { networks: this.#former, devices: this.#carriers },
    })
    const repair = planRepair(wanted, eased(found, this.#options.relieve), options)
    const { operations } = repair
    this.#log(operations)
    const failures = this.#kernel.apply(operations)
    this.#count(operations, failures)
    if (kinds.has('route')) this.#noteOthers(repair)
    return { operations: operations.length, failures: failures.map(renderFailure) }
  }

  /** Counts what was put back, and what is not owed any more. */
  #count(operations: readonly Operation[], failures: readonly Failure[]): void {
    const failed = new Set(failures.map(({ operation }) => operation))
    for (const operation of eased(operations, this.#options.relieve)) {
      const { entry } = operation
      const id = entryId(entry)
      if (failed.has(operation)) {
        if (this.#isFirst) this.#owed.add(id)
        continue
      }
      if (this.#isRepair(operation)) this.#options.repairs.add(entry.kind)
      this.#owed.delete(id)
    }
  }

  #isRepair({ verb, entry, isPassing }: Operation): boolean {
    if (isPassing) return false
    if (verb === 'delete' && !this.#hasPruned) return false
    return this.#isFirst ? this.#options.wasWanted(entry) : !this.#owed.has(entryId(entry))
  }

  #noteOthers(repair: Repair): void {
    this.#complaints.noteOthers(repair)
    this.#disputed = repair.disputed
    const standIns = [...repair.disputed.values()]
    this.#standIns = new Map(standIns.map((entry) => [entryId(entry), entry]))
  }

  #log(operations: readonly Operation[]): void {
    if (!this.#options.tellsAll) return
    for (const { verb, entry } of operations) {
      this.#options.log.debug(`${verb} ${renderEntry(entry)}`)
    }
  }
}

function renderFailure({ operation: { verb, entry }, error }: Failure): string {
  return `${verb} ${renderEntry(entry)}: ${error.message}`
}

const outcomes = {
  tunnel: { state: 'tunnel' },
  direct: { state: 'direct' },
  commands: { state: 'commands' },
  none: { state: 'none' },
  skipped: { state: 'skipped' },
} as const

/** The same object for all whose outcome is the same, as nearly always: there may be thousands. */
function outcomeOf({ state, problem }: PeerPlan): PeerOutcome {
  return problem === undefined ? outcomes[state] : { state, problem }
}
