/** Links of the model kernel. */
import type { Mac } from '../../ip/mac.ts'
import { IFF_PROMISC, IFF_RUNNING, IFF_UP, ifinfomsg } from '../../netlink/codec/ifinfo.ts'
import { linkTable } from '../../netlink/codec/link.ts'
import { type Message, NLM_F_CREATE, type Request } from '../../netlink/codec/message.ts'
import { decodeBody, encodeBody } from '../../netlink/codec/struct.ts'
import type { Given } from '../../netlink/codec/table.ts'
import type { Answer } from './model-kernel.ts'
import { forgetLink, type ModelLink, type ModelNetns, setLoopbackAddress } from './model-netns.ts'
import { errnos, isDump } from './model-wire.ts'

const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const IF_OPER_DOWN = 2
const IF_OPER_UP = 6

type LinkAttrs = Given<typeof linkTable>

export function linkLine(link: ModelLink): string {
  const { index, name, mac, mtu, up, promiscuous, master, peer, alias, group, info } = link
  return `link ${JSON.stringify({ index, name, mac, mtu, up, promiscuous, master, peer: peer?.index, alias, group, info })}`
}

export function answerLink(netns: ModelNetns, message: Message): Answer {
  const { header, attrs } = decodeBody(ifinfomsg, linkTable, message.payload)
  if (message.type === RTM_GETLINK && isDump(message.flags)) return list(netns, attrs)
  if (message.type === RTM_NEWLINK && message.flags & NLM_F_CREATE) {
    return create(netns, attrs, (header.flags & header.change & IFF_UP) !== 0)
  }
  if (message.type === RTM_DELLINK && attrs.group !== undefined) {
    return removeGroup(netns, attrs.group)
  }
  const link = find(netns, header.index, attrs.name)
  if (!link) return { errno: errnos.ENODEV }
  if (message.type === RTM_GETLINK) return { errno: 0, replies: [reply(link)] }
  if (message.type === RTM_DELLINK) return removeOne(link)
  return change(link, header, attrs)
}

function find(netns: ModelNetns, index: number, name?: string): ModelLink | undefined {
  if (index !== 0) return netns.links.get(index)
  for (const link of netns.links.values()) if (link.name === name) return link
  return undefined
}

function list(netns: ModelNetns, { master, info, group }: LinkAttrs): Answer {
  const links = [...netns.links.values()].filter((link) => {
    const isKind = info?.kind === undefined || info.kind === link.info.kind
    const isIn = (master === undefined || master === link.master) && isKind
    return isIn && (group === undefined || group === (link.group ?? 0))
  })
  return { errno: 0, replies: links.map(reply) }
}

function reply(link: ModelLink): Request {
  const { index, name, mac, mtu, up, promiscuous, master, peer, alias, group, info } = link
  const running = up && (peer?.up ?? true)
  const { veth: _unshown, ...shown } = info
  const attrs = {
    mac: mac as Mac,
    name,
    mtu,
    master,
    alias,
    group: group ?? 0,
    linkIndex: peer?.index,
    linkNetnsid: peer && peer.netns !== link.netns ? 0 : undefined,
    operstate: running ? IF_OPER_UP : IF_OPER_DOWN,
    info: shown,
  }
  const flags = (up ? IFF_UP : 0) | (running ? IFF_RUNNING : 0) | (promiscuous ? IFF_PROMISC : 0)
  const body = encodeBody(ifinfomsg, { index, flags }, linkTable, attrs)
  return { type: RTM_NEWLINK, flags: 0, body, op: 'reply' }
}

/** net/core/dev.c, dev_valid_name */
function isValidName(name: string): boolean {
  const bytes = Buffer.byteLength(name)
  return bytes > 0 && bytes < 16 && name !== '.' && name !== '..' && !/[/:\s]/.test(name)
}

function isValidMac(mac: string): boolean {
  return mac !== '00:00:00:00:00:00' && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0
}

/** What is wrong with a new link's name, address and size; 0 if nothing. */
function faultOf(netns: ModelNetns, attrs: Pick<LinkAttrs, 'name' | 'mac' | 'mtu'>): number {
  const { name = '', mac, mtu = 1500 } = attrs
  if (!isValidName(name)) return errnos.EINVAL
  if (find(netns, 0, name)) return errnos.EEXIST
  if (mac !== undefined && !isValidMac(mac)) return errnos.EADDRNOTAVAIL
  return mtu < 68 || mtu > 65535 ? errnos.EINVAL : 0
}

const kinds: readonly unknown[] = ['bridge', 'veth', 'ifb', 'macvlan']

function create(netns: ModelNetns, attrs: LinkAttrs, up: boolean): Answer {
  const { info = {}, netnsFd, linkIndex, master } = attrs
  if (!kinds.includes(info.kind)) return { errno: errnos.EOPNOTSUPP }
  const home = netnsOf(netns, netnsFd)
  if (!home) return { errno: errnos.EINVAL }
  const errno = faultOf(home, attrs)
  if (errno !== 0) return { errno }
  if (master && home.links.get(master)?.info.kind !== 'bridge') return { errno: errnos.EINVAL }
  if (info.kind === 'veth') return createPair(netns, home, attrs, up)
  const lower = info.kind === 'macvlan' ? netns.links.get(linkIndex ?? 0) : undefined
  if (info.kind === 'macvlan' && !lower) return { errno: errnos.ENODEV }
  const link = place(home, attrs, up)
  if (lower) link.peer = lower
  return { errno: 0 }
}

function createPair(netns: ModelNetns, home: ModelNetns, attrs: LinkAttrs, up: boolean): Answer {
  const { peer = {} } = attrs.info?.veth ?? {}
  const away = netnsOf(netns, peer.netnsFd)
  if (!away) return { errno: errnos.EINVAL }
  const isSame = away === home && peer.name === attrs.name
  const errno = isSame ? errnos.EEXIST : faultOf(away, peer)
  if (errno !== 0) return { errno }
  const far = place(away, { ...peer, info: { kind: 'veth' } }, false)
  const near = place(home, attrs, up)
  near.peer = far
  far.peer = near
  return { errno: 0 }
}

function netnsOf(netns: ModelNetns, fd: number | undefined): ModelNetns | undefined {
  return fd === undefined ? netns : [netns, ...netns.others].find((one) => one.fd === fd)
}

function place(netns: ModelNetns, attrs: LinkAttrs, up: boolean): ModelLink {
  const index = netns.nextIndex++
  const { name = '', mac, mtu = 1500, master, alias, group, info = {} } = attrs
  const made = mac ?? `02:00:00:00:00:${(index & 0xff).toString(16).padStart(2, '0')}`
  const { veth: _ends, ...kept } = info
  const link: ModelLink = {
    netns,
    index,
    // As the kernel counts up, which is all that is needed of it here.
    name: name.replace('%d', '0'),
    mac: made,
    mtu,
    up,
    promiscuous: false,
    master: master || undefined,
    alias,
    group: group || undefined,
    info: kept,
  }
  netns.links.set(index, link)
  return link
}

interface LinkFlags {
  readonly flags: number
  readonly change: number
}

function change(link: ModelLink, header: LinkFlags, attrs: LinkAttrs): Answer {
  const errno = changeFault(link, attrs)
  if (errno !== 0) return { errno }
  setFlags(link, header)
  const { mac = link.mac, mtu = link.mtu, master, alias, group, info } = attrs
  Object.assign(link, { mac, mtu })
  if (master !== undefined) link.master = master || undefined
  if (alias !== undefined) link.alias = alias || undefined
  if (group !== undefined) link.group = group || undefined
  if (info?.port) link.info = { ...link.info, port: { ...link.info.port, ...info.port } }
  return { errno: 0 }
}

function changeFault(link: ModelLink, { mac, mtu = 1500, master, info }: LinkAttrs): number {
  if (mac !== undefined && !isValidMac(mac)) return errnos.EADDRNOTAVAIL
  if (mtu < 68 || mtu > 65536) return errnos.EINVAL
  if (info?.port && link.master === undefined) return errnos.EOPNOTSUPP
  const isBridge = !master || link.netns.links.get(master)?.info.kind === 'bridge'
  return isBridge ? 0 : errnos.EINVAL
}

function setFlags(link: ModelLink, { flags, change }: LinkFlags): void {
  if (change & IFF_PROMISC) link.promiscuous = (flags & IFF_PROMISC) !== 0
  if (!(change & IFF_UP)) return
  link.up = (flags & IFF_UP) !== 0
  if (link.index === 1) setLoopbackAddress(link.netns, link.up)
}

function removeOne(link: ModelLink): Answer {
  if (link.index === 1) return { errno: errnos.EOPNOTSUPP }
  forgetLink(link.netns, link.index)
  // A veth's ends go together, and what is above a link goes with it.
  for (const netns of [link.netns, ...link.netns.others]) {
    for (const other of netns.links.values()) {
      if (other.peer === link) forgetLink(netns, other.index)
      else if (other.master === link.index && netns === link.netns) other.master = undefined
    }
  }
  return { errno: 0 }
}

function removeGroup(netns: ModelNetns, group: number): Answer {
  const members = [...netns.links.values()].filter((link) => link.group === group)
  if (members.length === 0) return { errno: errnos.ENODEV }
  for (const link of members) removeOne(link)
  return { errno: 0 }
}
