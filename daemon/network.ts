import type { NetworkConfig } from '../conf/network-config.ts'
import type { SubnetEnv } from '../conf/subnet-env.ts'
import { type ByFamily, byFamily, valuesOf } from '../ip/by-family.ts'
import type { Prefix } from '../ip/prefix.ts'
import type { Logger } from '../log/logger.ts'
import type { Connection } from '../netlink/connection.ts'
import { NetlinkError } from '../netlink/errors.ts'
import type { KernelEvent } from '../netlink/events.ts'
import { deleteLink } from '../netlink/link.ts'
import type { RulesetEvent } from '../netlink/nftables/events.ts'
import { Alarm, sleep } from './alarm.ts'
import type { Backend, Uplink } from './backend/backend.ts'
import { DataPath } from './data-path.ts'
import { DeviceConflictError, findLink, removeFormerDevices } from './devices.ts'
import type { Macs } from './identity.ts'
import type { KernelFollower } from './kernel-watch.ts'
import { PluginRules } from './plugin-rules.ts'
import { Rules } from './rules.ts'
import { RulesetWatch } from './ruleset-watch.ts'
import type { Settings } from './settings.ts'
import type { StatusBoard } from './status-board.ts'
import { subnetEnvFor, writeSubnetFile } from './subnet-file.ts'
import type { SubnetManager } from './subnet-manager.ts'
import { enableForwarding, ignoreRouterAdvertisements } from './sysctl.ts'

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
  /** What an earlier run left in the subnet file. */
  readonly former: SubnetEnv | undefined
  readonly board: StatusBoard
  readonly log: Logger
}

/** Everything is compared with the kernel at least that often, whatever the events say. */
const REPAIR_MS = 30_000
/** The plugin looks after its rules itself; what it lost is mostly heard of at once. */
const PLUGIN_RULES_MS = 30_000
const RETRY_MS = { first: 500, longest: 30_000 } as const
/** Repairs follow each other no faster: what comes in bursts is mended at once. */
const REPAIR_SPACING_MS = 200

/** This host's part of the network, as long as its subnets stay the same. */
export class Network implements KernelFollower {
  readonly #options: NetworkOptions
  readonly #dataPath: DataPath
  readonly #rules: Rules
  readonly #pluginRules: PluginRules
  readonly #rulesetWatch: RulesetWatch
  readonly #repairAlarm = new Alarm()
  #retryMs: number = RETRY_MS.first
  #isSwept = false

  constructor(options: NetworkOptions) {
    this.#options = options
    const { settings, config, uplinks, backend, subnets, former, log } = options
    const networks = byFamily((family) =>
      subnets[family] ? config.pools[family]?.network : undefined,
    )
    const formerNetworks = former ? [...former.networks, ...former.ipv6Networks] : []
    this.#dataPath = new DataPath({
      connection: options.route,
      ours: { backend, networks, subnets, uplinks },
      formerNetworks,
      log,
      onTrouble: () => this.#repairAlarm.ring(),
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
      everyMs: { own: settings.firewallSeconds * 1000, plugin: PLUGIN_RULES_MS },
    })
  }

  get plans(): DataPath['plans'] {
    return this.#dataPath.plans
  }

  get problems(): readonly string[] {
    const rules = [this.#rules.problem, this.#pluginRules.problem]
    return [...this.#dataPath.problems, ...rules.filter((problem) => problem !== undefined)]
  }

  /**
   * Brings it up: devices, entries for all known peers, rules, and last the subnet file, with which
   * containers may come. When that fails, what was not there before is taken away again.
   * @throws DeviceConflictError, NetlinkError, file system errors
   */
  up(): void {
    const { settings, config, uplinks, backend, subnets, former, route, board, log } = this.#options
    using undo = new DisposableStack()
    const problems = enableForwarding(uplinks, log)
    for (const problem of problems) log.warn(problem)
    board.warn([...problems, ...backend.warnings])
    for (const { name } of backend.devices) {
      if (findLink(route, name) === undefined) undo.defer(() => removeDevice(route, name))
    }
    this.#repair()
    if (former === undefined) undo.defer(() => this.#rules.remove())
    this.#rules.sync()
    const rest = { mtu: backend.mtu, ipMasq: settings.ipMasq }
    const written = writeSubnetFile(settings.subnetFile, subnetEnvFor(config, subnets, rest))
    if (written) log.info('subnet file written', { path: settings.subnetFile })
    undo.move()
  }

  /** These peers' leases are new, other than before, or gone. */
  setPeers(keys: readonly string[]): void {
    const { manager, log } = this.#options
    const leases = new Map(keys.map((key) => [key, manager.peers.get(key)?.lease]))
    try {
      this.#dataPath.setPeers(leases)
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      log.error('peers not written to the kernel', { error: error.message })
      this.requestRepair()
    }
  }

  requestRepair(): void {
    this.#repairAlarm.ring()
  }

  onEvents(events: readonly KernelEvent[]): void {
    if (events.some((event) => this.#dataPath.isTrouble(event))) this.requestRepair()
  }

  onLost(): void {
    this.requestRepair()
  }

  /** Compares with the kernel when asked to, and now and then. */
  async keepRepaired(signal: AbortSignal): Promise<void> {
    let retry = REPAIR_MS
    while (!signal.aborted) {
      const { mayPruneIn } = this.#options.manager
      const pause = mayPruneIn > 0 ? Math.min(retry, mayPruneIn) : retry
      await this.#repairAlarm.wait(pause, signal)
      if (signal.aborted) return
      retry = this.#tryRepair() ? REPAIR_MS : this.#retryMs
      this.#options.board.publish()
      await sleep(REPAIR_SPACING_MS, signal)
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

  #tryRepair(): boolean {
    try {
      if (this.#repair()) {
        this.#retryMs = RETRY_MS.first
        return true
      }
    } catch (error) {
      if (!(error instanceof NetlinkError) && !(error instanceof DeviceConflictError)) throw error
      this.#options.log.error('repair failed', { error: error.message })
    }
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest)
    return false
  }

  /** Whether all is as wanted afterwards. */
  #repair(): boolean {
    const { manager, backend, route, macs, log } = this.#options
    const leases = new Map([...manager.peers].map(([key, { lease }]) => [key, lease]))
    const prune = manager.mayPruneIn <= 0
    const { created, operations, failures } = this.#dataPath.repair(leases, { prune })
    for (const device of created) {
      const problem = ignoreRouterAdvertisements(device)
      if (problem !== undefined) log.warn(problem)
    }
    if (operations > 0) log.info('kernel set right', { operations, peers: leases.size })
    if (prune && !this.#isSwept) {
      const gone = removeFormerDevices(route, macs.known, backend.devices)
      if (gone.length > 0)
        log.info('devices of an earlier run removed', { devices: gone.join(' ') })
      this.#isSwept = true
    }
    return failures.length === 0
  }
}

function removeDevice(route: Connection, name: string): void {
  const link = findLink(route, name)
  if (link) route.execute(deleteLink({ index: link.index }))
}
