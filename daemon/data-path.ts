import { type ByFamily, byFamily, valuesOf } from '../ip/by-family.ts'
import type { Prefix } from '../ip/prefix.ts'
import type { Logger } from '../log/logger.ts'
import type { Connection } from '../netlink/connection.ts'
import type { KernelEvent } from '../netlink/events.ts'
import { renderEntry } from './backend/kernel-state.ts'
import { type Ours, type PeerPlan, planPeer } from './backend/plan-peer.ts'
import { ensureDevices } from './devices.ts'
import { type Failure, Kernel } from './kernel.ts'
import { type EventContext, isTrouble } from './kernel-event.ts'
import type { Lease } from './lease.ts'
import { type Operation, planChanges, planRepair } from './reconcile.ts'
import { type Change, Wanted } from './wanted.ts'

export interface DataPathOptions {
  readonly connection: Connection
  readonly ours: Ours
  /** Networks of an earlier run: what we left there goes. */
  readonly formerNetworks: readonly Prefix[]
  readonly log: Logger
  /** Called when something did not work that a repair may mend. */
  readonly onTrouble: () => void
}

/** What one repair found and did. */
export interface RepairReport {
  readonly created: readonly string[]
  readonly operations: number
  readonly failures: readonly string[]
}

/** The owner of what this host wants for itself; no lease has such a key. */
const OWN = 'own'

/**
 * The kernel's part of the network: keeps it as the leases want it. A change of one lease touches
 * what that lease wants; `repair` compares everything with what is really there. Synchronous.
 */
export class DataPath {
  readonly #options: DataPathOptions
  readonly #kernel: Kernel
  readonly #wanted = new Wanted()
  readonly #plans = new Map<string, PeerPlan>()
  readonly #networks: ByFamily<readonly Prefix[]>
  readonly #context: EventContext
  #conflicts: readonly string[] = []
  #failures: readonly string[] = []

  constructor(options: DataPathOptions) {
    this.#options = options
    this.#kernel = new Kernel(options.connection)
    const { backend, networks, subnets } = options.ours
    this.#wanted.set(OWN, 0, backend.own(subnets))
    this.#networks = byFamily((family) => {
      const former = options.formerNetworks.filter(({ address }) => address.family === family)
      const inside = networks[family] ? [networks[family], ...former] : former
      return inside.length > 0 ? inside : undefined
    })
    this.#context = {
      devices: backend.devices,
      uplinks: valuesOf(options.ours.uplinks).map(({ name }) => name),
      networks: valuesOf(networks),
      usesPaths: backend.usesPaths,
      nameOf: (index) => this.#kernel.nameOf(index),
      wanted: (id) => this.#wanted.get(id),
    }
  }

  /** What is wanted for each peer, by its lease's key. */
  get plans(): ReadonlyMap<string, PeerPlan> {
    return this.#plans
  }

  /** Whether an event may mean that the kernel is no longer as wanted. */
  isTrouble(event: KernelEvent): boolean {
    return isTrouble(event, this.#context)
  }

  /** What keeps the kernel from being as wanted; empty when it is. */
  get problems(): readonly string[] {
    return [...this.#conflicts, ...this.#failures]
  }

  /** One peer's lease is new or other than before, or, if undefined, gone. */
  setPeers(leases: ReadonlyMap<string, Lease | undefined>): void {
    const changes = [...leases].flatMap(([key, lease]) => this.#plan(key, lease))
    const operations = planChanges(changes)
    if (operations.length === 0) return
    this.#log(operations)
    const failures = this.#kernel.apply(operations)
    // A route that is in the way, a device that went: the repair sorts it out.
    if (failures.length > 0) this.#options.onTrouble()
  }

  /**
   * Makes devices and entries as wanted, from whatever there is. Entries of ours that nothing wants
   * go only if `prune`. All peers are planned anew, since paths to them may have changed.
   * @throws DeviceConflictError, NetlinkError when even that cannot be found out
   */
  repair(leases: ReadonlyMap<string, Lease>, options: { readonly prune: boolean }): RepairReport {
    const { connection, ours, log } = this.#options
    const { created, changed } = ensureDevices(connection, ours.backend.devices)
    if (created.length > 0) log.info('devices made', { devices: created.join(' ') })
    if (changed.length > 0) log.info('devices set right', { devices: changed.join(' ') })
    this.#kernel.refreshLinks()
    for (const key of this.#plans.keys()) if (!leases.has(key)) this.#plan(key, undefined)
    for (const [key, lease] of leases) this.#plan(key, lease)
    const names = ours.backend.devices.map(({ name }) => name)
    const found = this.#kernel.read(names, this.#networks)
    const { operations, conflicts } = planRepair(this.#wanted.entries(), found, options)
    this.#log(operations)
    const failures = this.#kernel.apply(operations)
    this.#note(conflicts, failures)
    return { created, operations: operations.length, failures: this.#failures }
  }

  #plan(key: string, lease: Lease | undefined): Change[] {
    const { ours, log } = this.#options
    if (!lease) {
      this.#plans.delete(key)
      return this.#wanted.set(key, 0, [])
    }
    const plan = planPeer(lease, ours, (address) => this.#kernel.findPath(address))
    const before = this.#plans.get(key)
    if (plan.problem !== undefined && plan.problem !== before?.problem) {
      log.warn('peer not reached', { lease: key, problem: plan.problem })
    }
    this.#plans.set(key, plan)
    return this.#wanted.set(key, lease.revision, plan.entries)
  }

  #log(operations: readonly Operation[]): void {
    for (const { verb, entry } of operations) {
      this.#options.log.debug(`${verb} ${renderEntry(entry)}`)
    }
  }

  /** Says what is wrong, once as long as it stays wrong in the same way. */
  #note(conflicts: readonly string[], failures: readonly Failure[]): void {
    const { log } = this.#options
    const texts = failures.map(
      ({ operation, error }) =>
        `${operation.verb} ${renderEntry(operation.entry)}: ${error.message}`,
    )
    for (const text of texts) {
      if (!this.#failures.includes(text)) log.error('kernel refused', { what: text })
    }
    for (const text of conflicts) {
      if (!this.#conflicts.includes(text)) log.warn('somebody else’s route stays', { what: text })
    }
    this.#failures = texts
    this.#conflicts = conflicts
  }
}
