import { rmSync } from 'node:fs'
import type { NetworkConfig } from '../conf/network-config.ts'
import type { SubnetEnv } from '../conf/subnet-env.ts'
import { type ByFamily, byFamily, valuesOf } from '../ip/by-family.ts'
import { distinctPrefixes, type Prefix } from '../ip/prefix.ts'
import { limited } from '../log/limited.ts'
import type { Logger } from '../log/logger.ts'
import type { Connection } from '../netlink/connection.ts'
import { NetlinkError } from '../netlink/errors.ts'
import type { KernelEvent } from '../netlink/events.ts'
import { deleteLink } from '../netlink/link.ts'
import type { RulesetEvent } from '../netlink/nftables/events.ts'
import { Alarm, sleep } from './alarm.ts'
import type { Backend, OwnPart, Uplink } from './backend/backend.ts'
import type { Commands } from './backend/commands.ts'
import { otherFirewalls } from './firewall/other-firewalls.ts'
import { PluginRules } from './firewall/plugin-rules.ts'
import { Rules } from './firewall/rules.ts'
import { RulesetWatch } from './firewall/ruleset-watch.ts'
import { StateError } from './host/files.ts'
import type { HostFiles } from './host/host-files.ts'
import type { Macs } from './host/identity.ts'
import { claim, deviceLock, type LockFile } from './host/locks.ts'
import { subnetEnvFor } from './host/subnet-file.ts'
import { enableForwarding, prepareDevice } from './host/sysctl.ts'
import { DataPath, type RepairReport } from './kernel/data-path.ts'
import { findLink, removeFormerDevices } from './kernel/devices.ts'
import type { KernelMemory } from './kernel/kernel-memory.ts'
import type { KernelFollower } from './kernel/kernel-watch.ts'
import type { Lease } from './lease/lease.ts'
import type { SubnetManager } from './lease/subnet-manager.ts'
import type { Settings } from './settings/settings.ts'
import type { StatusBoard } from './status/status-board.ts'
import type { Telemetry } from './status/telemetry.ts'

export interface NetworkOptions {
  readonly settings: Settings
  readonly config: NetworkConfig
  readonly uplinks: ByFamily<Uplink>
  readonly backend: Backend
  readonly subnets: ByFamily<Prefix>
  readonly manager: SubnetManager
  readonly route: Connection
  readonly netfilter: Connection
  readonly macs: Macs
  readonly lockFile: LockFile
  /** What an earlier run left in the subnet file. */
  readonly former: SubnetEnv | undefined
  readonly files: HostFiles
  readonly memory: KernelMemory
  readonly commands: Commands
  readonly telemetry: Pick<Telemetry, 'repairs'>
  readonly board: StatusBoard
  readonly log: Logger
  /** See sys/heap.ts. */
  readonly relieve: () => void
}

/** Everything is compared with the kernel at least that often, whatever the events say. */
const SAFETY_MS = 600_000
const RETRY_MS = { first: 500, longest: 30_000 } as const
/** What comes in bursts is mended at once. */
const SETTLE_MS = 20
/** The kernel tells nobody that a setting was changed. */
const FORWARDING_MS = 5_000
/** Repairs follow each other no faster, and take no more than a quarter of the time. */
const SPACING_MS = 200
const SPACING_FACTOR = 3

/** This host's part of the network, as long as its subnets stay the same. */
export class Network implements KernelFollower {
  readonly #options: NetworkOptions
  readonly #dataPath: DataPath
  readonly #rules: Rules
  readonly #pluginRules: PluginRules
  readonly #rulesetWatch: RulesetWatch
  readonly #repairAlarm = new Alarm()
  readonly #often: Logger
  /** The cluster's, of the families in use. */
  readonly #networks: readonly Prefix[]
  /** What keeps the host from forwarding, and what else the operator should know. */
  #problems: readonly string[] = []
  #warnings: readonly string[] = []
  /** When all is compared next, on the clock of `performance.now()`. */
  #wholeAt = 0
  #retryMs: number = RETRY_MS.first
  /** Why the last repair could not even be made. */
  #repairProblem: string | undefined

  constructor(options: NetworkOptions) {
    this.#options = options
    const { settings, config, uplinks, backend, subnets, memory, telemetry, log } = options
    this.#often = limited(log)
    const networks = byFamily((family) =>
      subnets[family] ? config.pools[family]?.network : undefined,
    )
    const formerNetworks = memory.networks
    this.#networks = valuesOf(networks)
    memory.networks = distinctPrefixes([...formerNetworks, ...this.#networks])
    this.#dataPath = new DataPath({
      connection: options.route,
      ours: { backend, networks, subnets, uplinks },
      formerNetworks,
      repairs: telemetry.repairs,
      log,
      onTrouble: () => this.requestRepair(),
      onCommands: (key, commands) => options.commands.set(key, commands),
      onDevice: ({ name, local }) => {
        for (const problem of prepareDevice(name, local.family)) this.#often.warn(problem)
      },
      wasWanted: (what) => memory.wants(what),
      tellsAll: settings.logLevel === 'debug',
      relieve: options.relieve,
    })
    const { instance, ipMasq, fullyRandom, forwardRules } = settings
    const prefixes = { networks: valuesOf(networks), subnets: valuesOf(subnets), formerNetworks }
    const input = { instance, ...prefixes, ipMasq, fullyRandom, forward: forwardRules }
    this.#rules = new Rules(options.netfilter, input, log)
    this.#pluginRules = new PluginRules(options)
    this.#rulesetWatch = new RulesetWatch({
      instance,
      connection: options.netfilter,
      kept: { own: this.#rules, plugin: this.#pluginRules },
      everyMs: settings.firewallSeconds * 1000,
      onRepair: () => telemetry.repairs.add('ruleset'),
    })
  }

  get plans(): DataPath['plans'] {
    return this.#dataPath.plans
  }

  get entries(): DataPath['entries'] {
    return this.#dataPath.entries
  }

  get problems(): readonly string[] {
    const { files, commands } = this.#options
    const parts = [files, this.#rules, this.#pluginRules]
    const others = parts.flatMap(({ problem }) => problem ?? [])
    const repair = this.#repairProblem === undefined ? [] : [this.#repairProblem]
    return [...repair, ...this.#dataPath.problems, ...commands.problems, ...others]
  }

  /**
   * Brings it up: devices, entries for all known peers, rules, and last the subnet file, with which
   * containers may come: it waits for the command of this host's own. When that fails and nothing was
   * up before, what was not there is taken away again. Over what is up already it changes what has to be.
   * @throws DeviceConflictError, NetlinkError
   */
  up(): void {
    const { settings, config, backend, subnets, former, files } = this.#options
    const { memory, commands, route, netfilter } = this.#options
    using undo = new DisposableStack()
    this.#warnings = [...otherFirewalls(netfilter), ...backend.warnings]
    this.#forward()
    if (!memory.isUp) {
      for (const { name } of backend.devices) {
        if (findLink(route, name) === undefined) undo.defer(() => removeDevice(route, name))
      }
      if (former === undefined) undo.defer(() => this.#rules.remove())
    }
    const { deviceErrors } = this.#repair()
    if (deviceErrors[0]) throw deviceErrors[0]
    this.#rules.sync()
    const add = backend.commands?.own(this.#part())
    const rest = { mtu: backend.mtu, ipMasq: settings.ipMasq }
    const env = subnetEnvFor(config, subnets, rest)
    if (files.areWritten) files.sync(env)
    commands.setOwn(add, () => files.sync(env))
    memory.isUp = true
    memory.wants = (what) => this.#dataPath.wants(what)
    undo.move()
  }

  /** These peers' leases are new, other than before, or gone. */
  setPeers(keys: readonly string[]): void {
    const { manager } = this.#options
    const leases = new Map(keys.map((key) => [key, manager.peers.get(key)?.lease]))
    try {
      this.#dataPath.setPeers(leases)
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.#often.error('peers not written to the kernel', { error: error.message })
      this.requestRepair()
    }
  }

  /** All is to be compared with the kernel. */
  requestRepair(): void {
    this.#wholeAt = performance.now()
    this.#repairAlarm.ring()
  }

  onEvents(events: readonly KernelEvent[]): void {
    this.#dataPath.takeEvents(events)
    if (this.#dataPath.isInDoubt) this.#repairAlarm.ring()
  }

  onLost(): void {
    this.requestRepair()
  }

  /** Mends what the kernel's events cast doubt on, and compares all when asked to, and now and then. */
  async keepRepaired(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#repairAlarm.wait(this.#wholeAt - performance.now(), signal)
      if (signal.aborted) return
      const { board } = this.#options
      board.publish()
      if (!this.#dataPath.isInDoubt && performance.now() < this.#wholeAt) continue
      await sleep(SETTLE_MS, signal)
      if (signal.aborted) return
      const started = performance.now()
      this.#tryRepair()
      board.publish()
      const took = performance.now() - started
      await sleep(Math.max(SPACING_MS, took * SPACING_FACTOR), signal)
    }
  }

  onRulesetEvents(events: readonly RulesetEvent[]): void {
    this.#rulesetWatch.onEvents(events)
  }

  onRulesetLost(): void {
    this.#rulesetWatch.onLost()
  }

  /** Looks after the firewall rules, the plugin's too. */
  async keepRules(signal: AbortSignal): Promise<void> {
    await this.#rulesetWatch.keep(signal)
  }

  /** Sees to it that the host still forwards: `sysctl --system` may switch that off at any time. */
  async keepForwarding(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(FORWARDING_MS, signal)
      if (!signal.aborted) this.#forward()
    }
  }

  #forward(): void {
    const { uplinks, board } = this.#options
    const problems = enableForwarding(uplinks, this.#often)
    for (const problem of problems) {
      if (!this.#problems.includes(problem)) this.#often.warn(problem)
    }
    this.#problems = problems
    board.warn('network', [...problems, ...this.#warnings])
  }

  /** Runs the backend's commands, if it has such. */
  async keepCommands(signal: AbortSignal): Promise<void> {
    if (this.#options.backend.commands) await this.#options.commands.keep(signal)
  }

  #part(): OwnPart {
    const { config, subnets } = this.#options
    return {
      subnets,
      networks: byFamily((family) => subnets[family] && config.pools[family]?.network),
    }
  }

  #tryRepair(): void {
    const isWhole = performance.now() >= this.#wholeAt
    try {
      const { isRight } = isWhole ? this.#repair() : this.#mend()
      if (isRight) {
        this.#retryMs = RETRY_MS.first
        return
      }
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.#repairProblem = error.message
      this.#often.error('repair failed', { error: error.message })
    }
    this.#wholeAt = Math.min(this.#wholeAt, performance.now() + this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest)
  }

  #mend(): RepairReport {
    const { manager } = this.#options
    const started = performance.now()
    const report = this.#dataPath.mend(leasesOf(manager), { prune: manager.mayPruneIn <= 0 })
    this.#report(report, started)
    return report
  }

  /** Compares all, and says when that is due again. */
  #repair(): RepairReport {
    const { manager, commands, memory } = this.#options
    const leases = leasesOf(manager)
    const prune = manager.mayPruneIn <= 0
    const next = prune ? SAFETY_MS : Math.min(SAFETY_MS, manager.mayPruneIn)
    const started = performance.now()
    this.#wholeAt = started + next
    const report = this.#dataPath.repair(leases, { prune })
    commands.retain(leases)
    this.#report(report, started)
    if (prune) this.#sweep()
    if (prune && report.isRight) memory.networks = this.#networks
    return report
  }

  #report({ operations }: RepairReport, started: number): void {
    this.#repairProblem = undefined
    if (operations === 0) return
    const ms = Math.round(performance.now() - started)
    this.#often.info('kernel set right', { operations, peers: this.#dataPath.plans.size, ms })
  }

  /** Removes devices of earlier runs, once; before their networks are forgotten. */
  #sweep(): void {
    const { memory, route, macs, backend, settings, lockFile, log } = this.#options
    if (memory.isSwept) return
    memory.isSwept = true
    try {
      const gone = removeFormerDevices(route, {
        known: macs.known,
        wanted: backend.devices,
        networks: memory.networks,
        claim: (name) => claimToDelete(name, lockFile, settings.instance),
      })
      if (gone.length === 0) return
      log.info('devices of an earlier run removed', { devices: gone.join(' ') })
      macs.forget(gone)
    } catch (error) {
      if (!(error instanceof StateError)) throw error
      log.warn('devices of an earlier run may be left', { error: error.message })
    }
  }
}

function leasesOf({ peers }: SubnetManager): Map<string, Lease> {
  return new Map([...peers].map(([key, { lease }]) => [key, lease]))
}

/** The device's lock, whose file goes with the device. Throws AlreadyRunningError, StateError. */
function claimToDelete(name: string, lockFile: LockFile, instance: string): Disposable {
  const lock = deviceLock(name)
  const held = new DisposableStack()
  held.use(claim(lock, lockFile, instance))
  held.defer(() => rmSync(lock.path, { force: true }))
  return held
}

function removeDevice(route: Connection, name: string): void {
  const link = findLink(route, name)
  if (link) route.execute(deleteLink({ index: link.index }))
}
