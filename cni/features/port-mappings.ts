import type { PublishedPorts } from '../../conf/attachment-record.ts'
import { ConfigError, UnsupportedFieldError } from '../../conf/errors.ts'
import {
  type FeatureConf,
  type PortMappingConf,
  parseFeatureConf,
} from '../../conf/feature-conf.ts'
import type { NetConf } from '../../conf/net-conf.ts'
import type { PortMapping, Protocol } from '../../firewall/port-mapping.ts'
import { formatAddress, parseAddress } from '../../ip/address.ts'
import { formatPrefix, network, type Prefix } from '../../ip/prefix.ts'

/** Sources and destinations that mean the host itself. */
export const ownLoopback = '127.0.0.0/8'

/**
 * Reads the port mappings the runtime asks for, and portmap's own keys: each is carried out, or
 * refused. Of equal mappings one is left.
 * @throws ConfigError in portmap's words, UnsupportedFieldError for a key that heddle has not.
 */
export function readPortMappings(conf: NetConf): PortMapping[] {
  const read = parseFeatureConf(conf)
  refuseUnusable(read)
  const mappings = new Map<string, PortMapping>()
  for (const raw of read.runtimeConfig?.portMappings ?? []) {
    const mapping = readMapping(raw)
    const place = `${mapping.hostPort}/${mapping.protocol} ${mapping.hostIp ?? ''}`
    const other = mappings.get(place)
    if (other && other.containerPort !== mapping.containerPort) {
      throw mappingError(`host port ${place.trim()} is mapped to two ports of the container`)
    }
    mappings.set(place, mapping)
  }
  return [...mappings.values()]
}

/** `markMasqBit` is accepted as it is: nothing has to be marked here. */
function refuseUnusable(conf: FeatureConf): void {
  const { backend = '', markMasqBit, externalSetMarkChain } = conf
  if (markMasqBit !== undefined && externalSetMarkChain !== undefined) {
    const both = 'Cannot specify externalSetMarkChain and markMasqBit'
    throw new ConfigError('externalSetMarkChain', both)
  }
  if (markMasqBit !== undefined && (markMasqBit < 0 || markMasqBit > 31)) {
    throw new ConfigError('markMasqBit', 'MasqMarkBit must be between 0 and 31')
  }
  if (!['', 'iptables', 'nftables'].includes(backend)) {
    throw new ConfigError('backend', `unrecognized backend ${JSON.stringify(backend)}`)
  }
  if (backend === 'iptables') {
    throw new UnsupportedFieldError('backend', backend, 'heddle publishes ports by nftables')
  }
  for (const key of ['externalSetMarkChain', 'conditionsV4', 'conditionsV6'] as const) {
    const value = conf[key]
    if (value === undefined || value.length === 0) continue
    throw new UnsupportedFieldError(key, value, 'heddle writes no rules that could take it in')
  }
}

function readMapping({ hostPort = 0, containerPort = 0, ...raw }: PortMappingConf): PortMapping {
  if (!isPort(containerPort)) {
    throw mappingError(`Invalid container port number: ${containerPort}`)
  }
  if (!isPort(hostPort)) throw mappingError(`Invalid host port number: ${hostPort}`)
  const hostIp = readHostIp(raw.hostIP ?? '')
  const protocol = readProtocol(raw.protocol ?? '')
  return { protocol, hostPort, containerPort, ...(hostIp !== undefined && { hostIp }) }
}

function isPort(number: number): boolean {
  return number >= 1 && number <= 65535
}

function readProtocol(text: string): Protocol {
  const name = text.toLowerCase()
  if (name === 'tcp' || name === 'udp' || name === 'sctp') return name
  throw mappingError(`Invalid protocol: ${JSON.stringify(text)}`)
}

function readHostIp(text: string): string | undefined {
  if (text === '') return undefined
  const address = parseAddress(text)
  if (!address) throw mappingError(`Invalid host IP: ${JSON.stringify(text)}`)
  return formatAddress(address)
}

function mappingError(message: string): ConfigError {
  return new ConfigError('runtimeConfig.portMappings', message)
}

/**
 * What is to be published of a container with these addresses, for its record: the first of each
 * family counts. `near` are the sources whose packets to the container get the host's address, since
 * their answers would not come back by the way they went: its own subnets, itself among them, and
 * the host's loopback.
 */
export function planPorts(
  conf: NetConf,
  all: readonly Prefix[],
  mappings: readonly PortMapping[],
): PublishedPorts {
  const { snat = true, masqAll = false } = parseFeatureConf(conf)
  const firsts = [4, 6].flatMap(
    (family) => all.find(({ address }) => address.family === family) ?? [],
  )
  const families = firsts.map(({ address }) => address.family)
  const served = mappings.filter(
    ({ hostIp }) => hostIp === undefined || families.includes(hostIp.includes(':') ? 6 : 4),
  )
  const subnets = firsts.map((prefix) => formatPrefix(network(prefix)))
  const everything = families.map((family) => (family === 4 ? '0.0.0.0/0' : '::/0'))
  const near = families.includes(4) ? [...subnets, ownLoopback] : subnets
  return {
    mappings: served,
    addresses: firsts.map(({ address }) => formatAddress(address)),
    near: snat ? (masqAll ? everything : near) : [],
  }
}
