import { formatAddress } from '../../ip/address.ts'
import { type ByFamily, byFamily, valuesOf } from '../../ip/by-family.ts'
import { formatPrefix, type Prefix } from '../../ip/prefix.ts'
import { withoutSecrets } from '../settings/flags.ts'
import type { Backend, BackendInput, OwnPart, Target } from './backend.ts'
import { makeCommand, type PeerCommands } from './command.ts'
import { BackendOptions } from './options.ts'

/**
 * The `extension` backend: commands of the operator's see to the paths. What PreStartupCommand
 * prints goes into this host's lease, and to every peer's SubnetAddCommand on standard input.
 * `environment` is what the names in a command's text may stand for.
 */
export function createExtension(
  { config, uplinks }: BackendInput,
  environment: Readonly<Record<string, string | undefined>> = withoutSecrets(process.env),
): Backend {
  const options = new BackendOptions(config)
  const specs = {
    prepare: options.command('PreStartupCommand'),
    own: options.command('PostStartupCommand'),
    add: options.command('SubnetAddCommand'),
    remove: options.command('SubnetRemoveCommand'),
  }
  const addresses = byFamily((family) => {
    const publicIP = uplinks[family]?.publicIP
    return publicIP && formatAddress(publicIP)
  })
  return {
    type: 'extension',
    leaseType: 'extension',
    mtu: Math.min(...valuesOf(uplinks).map((uplink) => uplink.mtu)),
    leaseData: {},
    devices: [],
    usesPaths: false,
    warnings: options.unknown(),
    commands: {
      prepare:
        specs.prepare === undefined ? undefined : makeCommand(specs.prepare, {}, { environment }),
      // Flannel reads what is beside the IPv4 address, which a host need not have.
      leaseData: (printed) => byFamily((family) => uplinks[family] && printed),
      own({ networks, subnets }: OwnPart) {
        if (!specs.own) return undefined
        const networkTexts = texts(networks)
        const variables = {
          NETWORK: networkTexts[4] ?? '',
          IPV6NETWORK: networkTexts[6] ?? '',
          ...variablesOf(texts(subnets), addresses),
        }
        return makeCommand(specs.own, variables, { environment })
      },
      peer: (targets) => peerCommands(specs, targets, environment),
    },
    own: () => [],
    peer: () => ({ state: 'none', entries: [] }),
  }
}

function peerCommands(
  { add, remove }: Record<'add' | 'remove', ReturnType<BackendOptions['command']>>,
  targets: ByFamily<Target>,
  environment: Readonly<Record<string, string | undefined>>,
): PeerCommands | { readonly problem: string } {
  const input = valuesOf(targets).find(({ data }) => data !== undefined)?.data ?? ''
  if (typeof input !== 'string') return { problem: 'its BackendData is not a text' }
  const variables = variablesOf(
    texts(byFamily((family) => targets[family]?.subnet)),
    byFamily((family) => targets[family] && formatAddress(targets[family].publicIP)),
  )
  const options = { environment, input }
  return {
    add: add === undefined ? undefined : makeCommand(add, variables, options),
    remove: remove === undefined ? undefined : makeCommand(remove, variables, options),
  }
}

/** Flannel's names. Those of a family that is not there are empty, whatever the daemon inherited. */
function variablesOf(subnets: ByFamily<string>, addresses: ByFamily<string>) {
  return {
    SUBNET: subnets[4] ?? '',
    IPV6SUBNET: subnets[6] ?? '',
    PUBLIC_IP: addresses[4] ?? '',
    PUBLIC_IPV6: addresses[6] ?? '',
  }
}

function texts(prefixes: ByFamily<Prefix>): ByFamily<string> {
  return byFamily((family) => prefixes[family] && formatPrefix(prefixes[family]))
}
