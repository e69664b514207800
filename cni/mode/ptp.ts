import { type Address, parseAddress } from '../../ip/address.ts'
import type { Mac } from '../../ip/mac.ts'
import { formatPrefix, hostPrefix, network, type Prefix, parsePrefix } from '../../ip/prefix.ts'
import { addAddress, replaceAddress } from '../../netlink/address.ts'
import type { Request } from '../../netlink/codec/message.ts'
import type { Connection } from '../../netlink/connection.ts'
import { setLink } from '../../netlink/link.ts'
import { addRoute, appendRoute } from '../../netlink/route.ts'
import { masquerade } from '../features/masquerade.ts'
import { writePart } from '../records/record.ts'
import { containerMac, hostVethMac, hostVethName } from '../stable-names.ts'
import { trySysctl } from '../sysctl.ts'
import type { AttachConf } from '../target/attach-conf.ts'
import { ensureForwarding } from './bridge.ts'
import { prepareInterface, waitForDuplicateDetection } from './container.ts'
import type { Attached, Mode, Site, Work } from './mode.ts'
import { buildResult, type Endpoint } from './plan.ts'
import { readPtpConf } from './ptp-conf.ts'
import { createVeth, waitForPort } from './veth.ts'

/** RT_SCOPE_HOST, uapi/linux/rtnetlink.h: what the reference plugin's routes to containers have. */
const scopeHost = 254

interface Macs {
  readonly mac: Mac
  readonly hostMac: Mac
}

/** A veth pair between host and container alone: every packet is routed by the host. */
export const ptpMode: Mode<AttachConf, Macs> = {
  read: readPtpConf,
  inspect: ({ key, conf }) => ({ mac: conf.mac ?? containerMac(key), hostMac: hostVethMac(key) }),
  plan: ({ key, netns }, { mac, hostMac }, { addresses }) => ({
    mode: 'ptp',
    netns: { path: netns.path, device: netns.device, inode: netns.inode },
    bridge: '',
    hostVeth: hostVethName(key, 0),
    hostMac,
    mac,
    addresses: addresses.map(formatPrefix),
  }),
  attach,
}

function attach(site: Site, { mac, hostMac }: Macs, { endpoint, record, undo }: Work): Attached {
  const { call, key, conf, netns, host, inside } = site
  const { deps, invocation } = call
  ensureForwarding(deps.sysctl, endpoint.addresses)
  const veth = createVeth(host, { key, mac, hostMac, mtu: conf.mtu, netns }, undo)
  const { hostName } = veth
  const { link } = record
  if (link && hostName !== link.hostVeth) writePart(key, { link: { ...link, hostVeth: hostName } })
  const hasIPv6 = endpoint.addresses.some(({ address }) => address.family === 6)
  trySysctl(deps.sysctl, `ipv6/conf/${hostName}/accept_ra`, '0')
  // From its link-local address the host asks for the container.
  trySysctl(deps.sysctl, `ipv6/conf/${hostName}/accept_dad`, '0')
  deps.inNetns(netns, () => prepareInterface(deps.sysctl, invocation.ifname, conf, hasIPv6))
  const ends = endsOf(endpoint)
  run(
    host,
    ends.flatMap((end) => hostSteps(end, veth.hostIndex)),
  )
  run(inside, containerSteps(ends, site, veth.index, endpoint))
  masquerade(record, deps, undo)
  waitForPort(host, veth, [], deps)
  if (conf.detectDuplicates) waitForDuplicateDetection(inside, veth.index, deps)
  const { mtu } = conf
  const result = buildResult(endpoint, {
    host: [{ name: hostName, mac: hostMac, ...(mtu !== undefined && { mtu }) }],
    container: { name: key.ifname, mac, sandbox: invocation.netns },
    mtu,
  })
  return { result, hostLink: hostName, hostVeth: hostName }
}

/** An address of the container and the host's, which is its gateway. */
interface Ends {
  readonly address: Prefix
  readonly gateway: Address
}

/** The gateways are there: a host that is one takes the first address where IPAM names none. */
function endsOf({ ips }: Endpoint): Ends[] {
  return ips.flatMap((ip) => {
    const address = parsePrefix(ip.address)
    const gateway = parseAddress(ip.gateway ?? '')
    return address && gateway ? [{ address, gateway }] : []
  })
}

/** The gateway's address alone, without its network, and a way to the container. */
function hostSteps({ address: { address }, gateway }: Ends, index: number): Request[] {
  const scope = address.family === 4 ? { scope: scopeHost } : {}
  return [
    // Two of the container's addresses may share it.
    replaceAddress({ index, prefix: hostPrefix(gateway), noDad: true }),
    addRoute({ destination: hostPrefix(address), oif: index, ...scope }),
  ]
}

/**
 * The addresses with their networks' lengths, but the networks behind the gateway: whoever else is
 * in them is not on this link.
 */
function containerSteps(
  ends: readonly Ends[],
  { conf }: Site,
  index: number,
  { routes }: Endpoint,
): Request[] {
  const noDad = conf.detectDuplicates ? {} : ({ noDad: true } as const)
  return [
    ...ends.map(({ address }) =>
      addAddress({ index, prefix: address, noPrefixRoute: true, ...noDad }),
    ),
    setLink({ index, up: true }),
    ...ends.map(({ address: { address: source }, gateway }) =>
      appendRoute({ destination: hostPrefix(gateway), oif: index, source }),
    ),
    ...ends.map(({ address, gateway }) =>
      appendRoute({ destination: network(address), gateway, oif: index, source: address.address }),
    ),
    ...routes.map((route) => appendRoute({ ...route, oif: index })),
  ]
}

function run(connection: Connection, requests: readonly Request[]): void {
  for (const error of connection.batch(requests)) if (error) throw error
}
