import { join } from 'node:path'
import { dist } from '../lab/heddle.ts'
import type { Contestant } from './plugin.ts'

const reference = '/usr/lib/cni'

/** What is measured; each has networks of its own. */
export type Case = 'plain' | 'with ipMasq' | 'with a port' | 'at once'

/** The second number of the two networks' addresses, and of heddle's first. */
const networks: Readonly<Record<Case, number>> = {
  plain: 88,
  'with ipMasq': 90,
  'with a port': 92,
  'at once': 94,
}

const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]

/** heddle and the reference with the same options, each with a bridge and a subnet of its own. */
export function contestants(what: Case): [Contestant, Contestant] {
  const hasPort = what === 'with a port'
  const net = networks[what]
  const ours = conf('heddle', `hd${net}`, net, what === 'with ipMasq')
  const theirs = conf('bridge', `ref${net}`, net + 1, what === 'with ipMasq')
  // Two ports: nobody may have the same one twice.
  const port = (hostPort: number) => ({
    runtimeConfig: { portMappings: portMappings.map((mapping) => ({ ...mapping, hostPort })) },
  })
  const portmap = {
    program: join(reference, 'portmap'),
    conf: { cniVersion: '1.0.0', name: `ref${net}`, type: 'portmap', ...port(8081) },
  }
  return [
    {
      path: dist,
      chain: [{ program: join(dist, 'heddle'), conf: { ...ours, ...(hasPort && port(8080)) } }],
    },
    {
      path: reference,
      chain: [{ program: join(reference, 'bridge'), conf: theirs }, ...(hasPort ? [portmap] : [])],
    },
  ]
}

function conf(
  type: string,
  name: string,
  net: number,
  ipMasq: boolean,
): Readonly<Record<string, unknown>> {
  return {
    cniVersion: '1.0.0',
    name,
    type,
    bridge: name,
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    mtu: 1450,
    ipMasq,
    ipam: { type: 'host-local', ranges: [[{ subnet: `10.${net}.0.0/16` }]] },
  }
}
