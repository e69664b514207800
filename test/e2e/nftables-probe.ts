/**
 * Does what one program does to the firewall of the namespace it is started in, and prints what
 * came of it. Runs under Bun, which the system calls need; nftables.e2e.ts looks at the same
 * namespace with nft and iptables. `nftables-probe.ts VERB [NUMBER]`.
 */
import { daemonTableRef } from '../../firewall/daemon-table.ts'
import { flannelLeftovers } from '../../firewall/flannel-leftovers.ts'
import { syncIptablesForward } from '../../firewall/iptables-forward.ts'
import {
  attachMasquerade,
  detachMasquerade,
  missingMasquerade,
  pruneMasquerade,
} from '../../firewall/masquerade.ts'
import type { Masquerade } from '../../firewall/masquerade-pool.ts'
import { syncPluginTable } from '../../firewall/plugin-table.ts'
import { removeTable, syncTable } from '../../firewall/sync.ts'
import { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { addChain } from '../../netlink/nftables/chain.ts'
import { renderTable } from '../../netlink/nftables/render.ts'
import { deleteSet } from '../../netlink/nftables/set.ts'
import { createSet, readTable } from '../../netlink/nftables/table-spec.ts'
import { applyTransaction } from '../../netlink/nftables/transaction.ts'
import { openNetlink } from '../../sys/netlink-socket.ts'
import { addresses, daemonSample, pluginSample, prefixes } from '../vectors/nftables/samples.ts'

using connection = new Connection(openNetlink('netfilter'))

function attachment(number: number): Masquerade {
  return {
    network: 'brnet',
    owner: { containerId: `c${number}`, ifname: 'eth0' },
    addresses: addresses(`10.88.0.${number}`, `fd00:88::${number}`),
    exempt: prefixes('10.88.0.1/16', '10.244.0.0/16', 'fd00:88::/64'),
  }
}

const networks = prefixes('10.244.0.0/16', '10.96.0.0/12', 'fc00::/48')

/** A transaction whose last operation cannot succeed, after others that could. */
function failing(): unknown {
  const [set] = pluginSample.sets
  const ref = daemonTableRef('default')
  try {
    applyTransaction(connection, [
      ...(set ? createSet(ref, set) : []),
      addChain(ref, { name: 'new' }),
      deleteSet(ref, 'none such'),
    ])
    return 'no error'
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    return { op: error.op, code: error.code }
  }
}

const verbs: Readonly<Record<string, (number: number) => unknown>> = {
  daemon: () => syncTable(connection, daemonSample, { alongside: flannelLeftovers }),
  read: () => {
    const { table } = readTable(connection, daemonTableRef('default'))
    return table && renderTable(table)
  },
  remove: () => removeTable(connection, daemonTableRef('default')),
  failing,
  forward: () => syncIptablesForward(connection, { instance: 'default', networks }),
  unforward: () =>
    syncIptablesForward(connection, { instance: 'default', networks: [], previous: networks }),
  attach: (number) => attachMasquerade(connection, attachment(number)),
  /** The container of this number gets the address of the one before it. */
  usurp: (number) =>
    attachMasquerade(connection, {
      ...attachment(number - 1),
      owner: attachment(number).owner,
    }),
  detach: (number) => detachMasquerade(connection, attachment(number)),
  detachByOwner: (number) => {
    const { network, owner } = attachment(number)
    detachMasquerade(connection, { network, owner })
  },
  missing: (number) => missingMasquerade(connection, attachment(number)) ?? 'nothing',
  prune: (number) => pruneMasquerade(connection, 'brnet', [attachment(number).owner]),
  sync: (number) =>
    syncPluginTable(connection, () => ({
      masqueraded: Array.from({ length: number }, (_, i) => attachment(i + 2)),
      published: [],
    })),
}

const [verb = '', number = '0'] = process.argv.slice(2)
process.stdout.write(`${JSON.stringify(verbs[verb]?.(Number(number)) ?? 'done')}\n`)
