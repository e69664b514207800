import { ConfigError } from '../../conf/errors.ts'
import type { Family } from '../../ip/address.ts'
import { type ByFamily, byFamily, familiesOf, valuesOf } from '../../ip/by-family.ts'
import { type Mac, macToBytes, parseMac } from '../../ip/mac.ts'
import { firstAddress, hostPrefix } from '../../ip/prefix.ts'
import type { Backend, BackendInput, FindPath, Target, TargetPlan, Uplink } from './backend.ts'
import { type Entry, ourRoute, type VxlanDevice } from './kernel-state.ts'
import { BackendOptions } from './options.ts'

/** What VXLAN puts before a packet: Ethernet 14, VXLAN 8, UDP 8, and IP 20 or 40 (RFC 7348). */
const overhead = { 4: 50, 6: 70 } as const
/** What a packet of each family may ask of any link (RFC 791, RFC 8200). */
const smallestMtu = { 4: 68, 6: 1280 } as const
/** Linux' own default port, which flannel leaves to it; IANA's 4789 came later. */
const LINUX_PORT = 8472
const prefixOfName = { 4: 'flannel.', 6: 'flannel-v6.' } as const
const MAX_NAME = 15
const MAX_VNI = 2 ** 24 - 1

/**
 * The `vxlan` backend: a VXLAN device for each family, and for each peer a neighbour, an FDB entry
 * and an on-link route over it, as flannel lays them out. With DirectRouting a peer on our own link
 * gets a plain route instead.
 */
export function createVxlan({ config, uplinks, macFor }: BackendInput): Backend {
  const options = new BackendOptions(config)
  const vni = options.integer('VNI', { min: 0, max: MAX_VNI }) ?? 1
  const port = options.integer('Port', { min: 0, max: 65_535 }) || LINUX_PORT
  const mtu = options.integer('MTU', { min: 0, max: 65_535 }) || undefined
  const learning = options.flag('Learning')
  const gbp = options.flag('GBP')
  const directRouting = options.flag('DirectRouting')
  const devices = byFamily((family): VxlanDevice | undefined => {
    const uplink = uplinks[family]
    if (!uplink) return undefined
    const name = deviceName(family, vni)
    const outer = Math.min(mtu ?? uplink.mtu, uplink.mtu)
    const under = { uplink: uplink.name, local: uplink.address }
    const fixed = { vni, port, learning, gbp }
    return { name, mac: macFor(name), mtu: outer - overhead[family], ...under, ...fixed }
  })
  const names = new Set(valuesOf(devices).map(({ name }) => name))
  return {
    type: 'vxlan',
    leaseType: 'vxlan',
    mtu: Math.min(...valuesOf(devices).map((device) => device.mtu)),
    leaseData: byFamily((family) => devices[family] && { VNI: vni, VtepMAC: devices[family].mac }),
    devices: valuesOf(devices),
    usesPaths: directRouting,
    warnings: [...options.unknown(), ...oddMtus(mtu, uplinks)],
    own: (subnets) =>
      valuesOf(subnets).flatMap((subnet): Entry[] => {
        const device = devices[subnet.address.family]?.name
        return device ? [{ kind: 'address', device, prefix: hostPrefix(firstAddress(subnet)) }] : []
      }),
    peer: (target, findPath) =>
      (directRouting && direct(target, names, findPath)) || tunnel(target, devices, vni),
  }
}

function deviceName(family: Family, vni: number): string {
  const name = `${prefixOfName[family]}${vni}`
  if (name.length <= MAX_NAME) return name
  const message = `Backend.VNI ${vni} is too long: no device can be called ${name}`
  throw new ConfigError('Backend.VNI', message)
}

/** Sentences about an MTU that does not fit. Throws ConfigError for one that never can. */
function oddMtus(mtu: number | undefined, uplinks: ByFamily<Uplink>): string[] {
  return familiesOf(uplinks).flatMap((family) => {
    const uplink = uplinks[family]
    const smallest = smallestMtu[family] + overhead[family]
    if (mtu !== undefined && mtu < smallest) {
      const message = `Backend.MTU must be at least ${smallest} for IPv${family}, not ${mtu}`
      throw new ConfigError('Backend.MTU', message)
    }
    if (!uplink) return []
    const of = `${uplink.name} carries ${uplink.mtu} bytes`
    if (uplink.mtu < smallest) return [`${of}, and IPv${family} with vxlan needs ${smallest}`]
    return mtu !== undefined && mtu > uplink.mtu
      ? [`${of}, less than Backend.MTU, ${mtu}: its own MTU counts`]
      : []
  })
}

/** A peer that the kernel reaches without a gateway needs no tunnel. */
function direct(
  { subnet, publicIP }: Target,
  own: ReadonlySet<string>,
  findPath: FindPath,
): TargetPlan | undefined {
  const path = findPath(publicIP)
  if (path === undefined || path === 'no host' || !path.onLink) return undefined
  // A way to the peer that leads through the tunnel is none around it.
  if (own.has(path.device)) return undefined
  const via = { gateway: publicIP, device: path.device, onlink: false }
  return { state: 'direct', entries: [ourRoute(subnet, via)] }
}

function tunnel(target: Target, devices: ByFamily<VxlanDevice>, vni: number): TargetPlan {
  const { subnet, publicIP, data } = target
  const device = devices[subnet.address.family]
  const peer = readData(data)
  if (!device || !peer) return skipped('its lease has no usable VtepMAC')
  if (peer.vni !== vni) return skipped(`its VNI is ${JSON.stringify(peer.vni)}, ours is ${vni}`)
  if (peer.mac === device.mac) return skipped(`it has the same VtepMAC as this host, ${peer.mac}`)
  // The subnet's own address is the peer's address on its VXLAN device.
  const address = firstAddress(subnet)
  const on = { device: device.name }
  return {
    state: 'tunnel',
    entries: [
      { kind: 'neighbour', ...on, address, mac: peer.mac },
      { kind: 'fdb', ...on, mac: peer.mac, destination: publicIP },
      ourRoute(subnet, { ...on, gateway: address, onlink: true }),
    ],
  }
}

function skipped(problem: string): TargetPlan {
  return { state: 'skipped', problem }
}

/** Reads `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}`; undefined unless it names one station. */
function readData(data: unknown): { vni: unknown; mac: Mac } | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const { VNI: vni, VtepMAC: text } = data as Readonly<Record<string, unknown>>
  const mac = typeof text === 'string' ? parseMac(text) : undefined
  if (!mac) return undefined
  const octets = macToBytes(mac)
  const isGroup = ((octets[0] ?? 0) & 1) === 1
  return isGroup || octets.every((octet) => octet === 0) ? undefined : { vni, mac }
}
