/**
 * Does what one program does to the firewall of the namespace it is started in, and prints what
 * came of it as JSON. Runs under Bun, which the system calls need. `firewall-probe.ts VERB [JSON]`.
 */
import { createHash } from 'node:crypto'
import {
  ensureForwardAccept,
  missingForwardAccept,
  removeForwardAccept,
} from '../../firewall/forward-accept.ts'
import { attachMasquerade, detachMasquerade } from '../../firewall/masquerade.ts'
import type { Masquerade } from '../../firewall/masquerade-pool.ts'
import { pluginTable } from '../../firewall/plugin-parts.ts'
import { syncPluginTable } from '../../firewall/plugin-table.ts'
import { PortTaken } from '../../firewall/port-owner.ts'
import {
  missingPublished,
  prunePublished,
  publishPorts,
  unpublishPorts,
} from '../../firewall/published.ts'
import type { Published } from '../../firewall/published-parts.ts'
import type { ReferenceAttachment } from '../../firewall/reference-chains.ts'
import { removeReferenceRules } from '../../firewall/reference-rules.ts'
import { Connection } from '../../netlink/connection.ts'
import { renderTable } from '../../netlink/nftables/render.ts'
import { readTable } from '../../netlink/nftables/table-spec.ts'
import { openNetlink } from '../../sys/netlink-socket.ts'
import { addresses, prefixes } from '../vectors/nftables/samples.ts'

/** An attachment's ports as text: `tcp:8080:80`, or with the host's address `tcp:8080:80:192.0.2.1`. */
export interface PublishedText {
  readonly network: string
  readonly id: string
  readonly ports: readonly string[]
  readonly addresses: readonly string[]
  readonly near: readonly string[]
}

function published({ network, id, ports, addresses: texts, near }: PublishedText): Published {
  const mappings = ports.map((text) => {
    const [name, hostPort, containerPort, ...hostIp] = text.split(':')
    const protocol = (['tcp', 'udp', 'sctp'] as const).find((known) => known === name)
    if (!protocol) throw new RangeError(`no mapping of a port: ${text}`)
    return {
      protocol,
      hostPort: Number(hostPort),
      containerPort: Number(containerPort),
      ...(hostIp.length > 0 && { hostIp: hostIp.join(':') }),
    }
  })
  const owner = { containerId: id, ifname: 'eth0' }
  return { network, owner, mappings, addresses: addresses(...texts), near: prefixes(...near) }
}

/** The same attachment as one that is masqueraded but towards its neighbours. */
function masqueraded(text: PublishedText): Masquerade {
  const { near, mappings: _, ...rest } = published(text)
  return { ...rest, exempt: near }
}

const sha512Hex = (text: string) => createHash('sha512').update(text).digest('hex')

function publish(connection: Connection, text: PublishedText & { dead?: string }): unknown {
  try {
    publishPorts(connection, published(text), {
      isAlive: ({ containerId }) => containerId !== text.dead,
    })
    return 'published'
  } catch (error) {
    if (error instanceof PortTaken) return error.message
    throw error
  }
}

type Verb = (connection: Connection, argument: never) => unknown

const verbs: Readonly<Record<string, Verb>> = {
  publish,
  unpublish: (connection, text: PublishedText) => unpublishPorts(connection, published(text)),
  unpublishByTag: (connection, text: PublishedText) => {
    const { network, owner } = published(text)
    unpublishPorts(connection, { network, owner })
  },
  prune: (connection, { network, keep }: { network: string; keep: readonly string[] }) =>
    prunePublished(
      connection,
      network,
      keep.map((containerId) => ({ containerId, ifname: 'eth0' })),
    ),
  missing: (connection, text: PublishedText) => missingPublished(connection, published(text)),
  sync: (connection, texts: readonly PublishedText[]) =>
    syncPluginTable(connection, () => ({ masqueraded: [], published: texts.map(published) })),
  syncBoth: (connection, texts: readonly PublishedText[]) =>
    syncPluginTable(connection, () => ({
      masqueraded: texts.map(masqueraded),
      published: texts.map(published),
    })),
  attach: (connection, text: PublishedText) => attachMasquerade(connection, masqueraded(text)),
  detach: (connection, text: PublishedText) => detachMasquerade(connection, masqueraded(text)),
  render: (connection) => {
    const { table } = readTable(connection, pluginTable)
    return table && renderTable(table)
  },
  accept: (connection, bridge: string) => ensureForwardAccept(connection, bridge),
  missingAccept: (connection, bridge: string) => missingForwardAccept(connection, bridge),
  unaccept: (connection, bridge: string) => removeForwardAccept(connection, bridge),
  removeReference: (connection, attachment: ReferenceAttachment) =>
    removeReferenceRules(connection, attachment, { sha512Hex }),
}

const [verb = '', argument = 'null'] = process.argv.slice(2)
using connection = new Connection(openNetlink('netfilter'))
const answer = verbs[verb]?.(connection, JSON.parse(argument) as never)
process.stdout.write(`${JSON.stringify(answer ?? null)}\n`)
