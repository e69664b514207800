import { daemonTable, daemonTableRef } from '../../firewall/daemon-table.ts'
import { flannelLeftovers } from '../../firewall/flannel-leftovers.ts'
import { syncIptablesForward } from '../../firewall/iptables-forward.ts'
import { removeTable, syncTable } from '../../firewall/sync.ts'
import { type Prefix, samePrefix } from '../../ip/prefix.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import type { Connection } from '../../netlink/connection.ts'
import { type Outcome, RulesLook } from './rules-look.ts'

export interface RulesInput {
  readonly instance: string
  readonly networks: readonly Prefix[]
  readonly subnets: readonly Prefix[]
  readonly ipMasq: boolean
  readonly fullyRandom: boolean
  readonly forward: boolean
  /** Networks of an earlier run, whose rules go but for those of `networks`. */
  readonly formerNetworks: readonly Prefix[]
}

/** The firewall rules of this daemon: written when they are not as they should be. Synchronous. */
export class Rules {
  readonly #connection: Connection
  readonly #input: RulesInput
  readonly #log: Logger
  readonly #look: RulesLook
  #isFirst = true

  constructor(connection: Connection, input: RulesInput, log: Logger) {
    this.#connection = connection
    this.#input = input
    this.#log = limited(log)
    const words = { whose: 'firewall:', failure: 'firewall rules not written' }
    this.#look = new RulesLook(words, this.#log)
  }

  /** What keeps the rules from being as wanted. */
  get problem(): string | undefined {
    return this.#look.problem
  }

  /** Looks, and writes what is missing or different. What fails is a problem, not an error. */
  sync(): Outcome {
    return this.#look.run(() => this.#sync())
  }

  /** Takes back what was written; for a start that failed. */
  remove(): void {
    const { instance } = this.#input
    try {
      removeTable(this.#connection, daemonTableRef(instance))
      syncIptablesForward(this.#connection, { instance, networks: [] })
    } catch (error) {
      this.#log.warn('firewall rules not removed', { error: String(error) })
    }
  }

  #sync(): Outcome {
    const { instance, networks, forward, formerNetworks } = this.#input
    // What flannel left here goes in the transaction that brings ours; once is enough.
    const options = this.#isFirst ? { alongside: flannelLeftovers } : {}
    const table = syncTable(this.#connection, daemonTable(this.#input), options)
    // Our accept cannot outvote a drop in another table, so it stands in that table as well.
    const iptables = syncIptablesForward(this.#connection, {
      instance,
      networks: forward ? networks : [],
      // A rule without our mark may be an administrator's. Only one for a network that we accepted
      // and no longer use is taken for one of ours.
      previous: forward ? without(formerNetworks, networks) : [],
    })
    if (table === 'written') this.#log.info('firewall table written', { instance })
    if (iptables === 'written') this.#log.info('accept rules written to iptables FORWARD')
    this.#isFirst = false
    return table === 'written' || iptables === 'written' ? 'written' : 'unchanged'
  }
}

function without(prefixes: readonly Prefix[], others: readonly Prefix[]): Prefix[] {
  return prefixes.filter((prefix) => !others.some((other) => samePrefix(prefix, other)))
}
