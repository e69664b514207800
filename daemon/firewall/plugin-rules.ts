import { existsSync } from 'node:fs'
import { attachmentsFolder } from '../../conf/attachment-record.ts'
import { ensureForwardAccept } from '../../firewall/forward-accept.ts'
import { syncPluginTable } from '../../firewall/plugin-table.ts'
import { isLinkLocal } from '../../ip/address.ts'
import type { Prefix } from '../../ip/prefix.ts'
import { limited } from '../../log/limited.ts'
import type { Logger } from '../../log/logger.ts'
import { listAddresses } from '../../netlink/address.ts'
import type { Connection } from '../../netlink/connection.ts'
import { findLink } from '../kernel/devices.ts'
import { bridgesOf, pluginStateOf, readAttachments } from './attachments.ts'
import { type Outcome, RulesLook } from './rules-look.ts'

export interface PluginRulesInput {
  readonly netfilter: Connection
  readonly route: Connection
  readonly log: Logger
  /** Where the records of attachments are; the usual place if absent. */
  readonly folder?: string
}

/**
 * The firewall rules that the network plugin wrote for the containers of this host. It is not there
 * any more when somebody removes them, so the daemon writes them again, from the plugin's records.
 * Synchronous.
 */
export class PluginRules {
  readonly #input: PluginRulesInput
  readonly #log: Logger
  readonly #look: RulesLook

  constructor(input: PluginRulesInput) {
    this.#input = input
    this.#log = limited(input.log)
    const words = { whose: 'containers’ firewall:', failure: 'rules of containers not written' }
    this.#look = new RulesLook(words, this.#log)
  }

  /** What keeps the rules from being as the records have them. */
  get problem(): string | undefined {
    return this.#look.problem
  }

  /** Looks, and writes what is missing or too much. What fails is a problem, not an error. */
  sync(): Outcome {
    return this.#look.run(() => this.#sync())
  }

  #sync(): Outcome {
    const { netfilter, folder = attachmentsFolder } = this.#input
    // No plugin has written there, or not where this daemon sees it: nothing is known to be wrong.
    if (!existsSync(folder)) return 'unchanged'
    const read = () => readAttachments(folder)
    const table = syncPluginTable(netfilter, () => pluginStateOf(read()))
    if (table === 'written') this.#log.info('rules of containers written again')
    const accepted = bridgesOf(read()).filter((bridge) => this.#accept(bridge))
    if (accepted.length > 0) {
      this.#log.info('accept rules of containers written to iptables FORWARD', {
        bridges: accepted.join(' '),
      })
    }
    return table === 'written' || accepted.length > 0 ? 'written' : 'unchanged'
  }

  /** Whether rules were written that accept what the bridge's containers send and get. */
  #accept(bridge: string): boolean {
    const { netfilter, route } = this.#input
    const link = findLink(route, bridge)
    // Without an address of the host's it leads nowhere but from container to container.
    const leadsOn = link && route.dump(listAddresses({ index: link.index })).some(isGateway)
    return leadsOn === true && ensureForwardAccept(netfilter, bridge) === 'written'
  }
}

function isGateway({ prefix }: { readonly prefix: Prefix }): boolean {
  return !isLinkLocal(prefix.address)
}
