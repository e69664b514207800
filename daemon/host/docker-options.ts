import { basename, dirname, join } from 'node:path'
import type { SubnetEnv } from '../../conf/subnet-env.ts'
import { formatPrefix, network } from '../../ip/prefix.ts'

/**
 * Where dockerd's options are: `docker` beside a subnet file of flannel's name, since flannel's unit
 * has them in /run/flannel/docker. Undefined for other names: docker stands on one network only.
 */
export function dockerOptionsPath(subnetFile: string): string | undefined {
  return basename(subnetFile) === 'subnet.env' ? join(dirname(subnetFile), 'docker') : undefined
}

/**
 * The text of an `EnvironmentFile` for docker's unit, as `scripts/mk-docker-opts.sh` makes it. The
 * last two lines are the same: flannel's own name, and the one that distributions give it (`-k`).
 */
export function formatDockerOptions({ subnet, ipv6Subnet, mtu, ipMasq }: SubnetEnv): string {
  const options: [name: string, option: string][] = [
    ...(subnet ? [option('BIP', `bip=${formatPrefix(subnet)}`)] : []),
    ...(ipv6Subnet
      ? [option('FIXED_CIDR_V6', `fixed-cidr-v6=${formatPrefix(network(ipv6Subnet))}`)]
      : []),
    // One of the two masquerades.
    option('IPMASQ', `ip-masq=${!ipMasq}`),
    ...(ipv6Subnet ? [option('IPV6', 'ipv6=true')] : []),
    option('MTU', `mtu=${mtu}`),
  ]
  const all = options.map(([, text]) => ` ${text}`).join('')
  const lines: readonly (readonly [name: string, text: string])[] = [
    ...options,
    ['DOCKER_OPTS', all],
    ['DOCKER_NETWORK_OPTIONS', all],
  ]
  return lines.map(([name, text]) => `${name}="${text}"\n`).join('')
}

function option(name: string, text: string): [name: string, option: string] {
  return [`DOCKER_OPT_${name}`, `--${text}`]
}
