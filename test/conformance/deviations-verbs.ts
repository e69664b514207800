import { type Deviation, of } from './deviation.ts'

const renamed = { code: 999, msg: 'failed to rename macvlan to "eth0": file exists' }
const noName = (reason: RegExp) => ({
  code: 999,
  msg: new RegExp(`^failed to open netns %!q\\(<nil>\\): ${reason.source}`),
})
const foreign = { code: 999, msg: /^unknown FS magic on "\/etc\/passwd"/ }
const attached = ['address', 'link', 'route']
const inside = ['address inside', 'link inside', 'route inside']
const attachedBoth = ['address', 'address inside', 'link', 'link inside', 'route', 'route inside']
const noRoute = (gateway: string) => ({
  code: 999,
  msg: new RegExp(`^Expected Route .*IP:${gateway} .*GW:<nil>} not found in routing table$`),
})

const adding: readonly Deviation[] = [
  {
    row: 'A1',
    of: of('macvlan'),
    instead: 'tells of the rename that failed: `failed to rename macvlan to "eth0": file exists`',
    why: 'one text for all modes',
    observed: { ADD: renamed },
  },
  {
    row: 'A2',
    of: of('bridge'),
    instead: 'leaves the veth of the second ADD',
    why: 'what fails leaves nothing behind',
    observed: { left: ['link', 'link inside'] },
  },
  {
    row: 'A2',
    of: of('ptp'),
    instead: 'asks IPAM before it looks at the interface',
    why: 'what can be seen beforehand costs no address',
    observed: { again: { code: 999, msg: /duplicate allocation is not allowed$/ } },
  },
  {
    row: 'A2',
    of: of('macvlan'),
    instead: 'leaves the link of the second ADD',
    why: 'what fails leaves nothing behind',
    observed: { again: renamed, left: ['link inside'] },
  },
  {
    row: 'A3',
    of: of('bridge'),
    instead: 'leaves the veth when IPAM or a route fails',
    why: 'what fails leaves nothing behind',
    observed: {
      'no such gateway': { exit: 1, left: attachedBoth },
      'no address left': { exit: 1, left: ['link', 'link inside'] },
      'no such IPAM plugin': { exit: 1, left: ['link', 'link inside'] },
    },
  },
  {
    row: 'A3',
    of: of('ptp'),
    instead: 'leaves the veth when a route fails; takes no MAC and ignores that one is asked for',
    why: 'what fails leaves nothing behind; what cannot be done is refused',
    observed: {
      'no such gateway': { exit: 1, left: attachedBoth },
      'a MAC that is none': { exit: 0, left: [...attachedBoth, 'reservation'].toSorted() },
    },
  },
  {
    row: 'A3',
    of: of('macvlan'),
    instead: 'leaves the link when IPAM or a route fails; does not know `args.cni.mac`',
    why: 'what fails leaves nothing behind; the convention is for every plugin that sets a MAC',
    observed: {
      'no such gateway': { exit: 1, left: inside },
      'no address left': { exit: 1, left: ['link inside'] },
      'a MAC that is none': {
        exit: 0,
        left: ['address inside', 'link inside', 'reservation', 'route inside'],
      },
      'no such IPAM plugin': { exit: 1, left: ['link inside'] },
    },
  },
  {
    row: 'A4',
    of: of('bridge'),
    instead: 'makes the bridge before it looks at the namespace',
    why: 'what fails leaves nothing behind',
    observed: { left: attached },
  },
  {
    row: 'A4',
    of: of('macvlan'),
    instead: 'prints `%!q(<nil>)` where the path ought to be',
    why: 'a slip of theirs',
    observed: {
      missing: noName(/failed to Statfs "\/run\/netns\/none": no such file or directory$/),
      file: noName(/unknown FS magic on "\/etc\/passwd": [\da-f]+$/),
    },
  },
]

const deleting: readonly Deviation[] = [
  {
    row: 'D2a',
    of: of('bridge', 'ptp'),
    instead: 'gives the address back and leaves the link and the masquerading rules',
    why: 'an empty CNI_NETNS is the usual case for `ctr` and after a reboot; the rules are never found again',
    observed: { left: [...attached, 'rule'] },
  },
  {
    row: 'D2b',
    of: of('bridge', 'ptp'),
    instead: 'leaves the masquerading rules',
    why: 'as above',
    observed: { left: ['rule'] },
  },
  {
    row: 'D2c',
    of: of('bridge'),
    instead: 'fails, with all left as it was but the record of libcni',
    why: 'a DEL that can never succeed holds up the runtime; ours goes by its own records',
    observed: { DEL: foreign, left: [...attached, 'reservation', 'rule'].toSorted() },
  },
  {
    row: 'D2c',
    of: of('ptp'),
    instead: 'fails when the address is given back; link and rules stay',
    why: 'as above',
    observed: { DEL: foreign, left: [...attached, 'rule'] },
  },
  {
    row: 'D2c',
    of: of('macvlan'),
    instead: 'fails when the address is given back; the link stays',
    why: 'as above',
    observed: { DEL: foreign },
  },
  {
    row: 'D4a',
    of: of('bridge'),
    instead: 'removes the link and leaves the rules',
    why: 'first its own, then the complaint',
    observed: { left: ['reservation', 'rule'] },
  },
  {
    row: 'D4a',
    of: of('ptp'),
    instead: 'removes nothing',
    why: 'first its own, then the complaint',
    observed: { left: [...attached, 'reservation', 'rule'].toSorted() },
  },
  {
    row: 'D4a',
    of: of('macvlan'),
    instead: 'removes nothing',
    why: 'first its own, then the complaint; ours keeps its record until the delegate is there again',
    observed: { left: ['reservation'] },
  },
  {
    row: 'D4b',
    of: of('bridge', 'ptp'),
    instead: 'removes nothing, ever',
    why: 'DEL needs no configuration that ADD would take',
    observed: { left: [...attached, 'reservation', 'rule'].toSorted() },
  },
  {
    row: 'D4b',
    of: of('macvlan'),
    instead: 'removes nothing, ever',
    why: 'as above',
    observed: { left: ['reservation'] },
  },
  {
    row: 'D5',
    of: of('bridge', 'ptp', 'macvlan', 'host-local'),
    instead: "makes host-local's folder of the network",
    why: 'nothing was there, and nothing need be made to find that out',
    observed: { folders: '/var/lib/cni/networks/NET' },
  },
]

const checking: readonly Deviation[] = [
  {
    row: 'C2',
    of: of('ptp'),
    instead: 'says `ptp: Required prevResult missing`',
    why: 'one text for all modes',
    observed: { CHECK: { code: 999, msg: 'ptp: Required prevResult missing' } },
  },
  {
    row: 'C2',
    of: ['1.9.1 macvlan'],
    instead: 'says `required prevResult missing`',
    why: 'one text for all modes',
    observed: { CHECK: { code: 999, msg: 'required prevResult missing' } },
  },
  {
    row: 'C3',
    of: ['Debian bridge', 'Debian ptp', 'Debian macvlan'],
    instead: 'misses routes that were added without a gateway of their own',
    why: 'CHECK right after ADD is what CRI-O does; mended upstream since',
    observed: { 'routes with and without a gateway': noRoute('198\\.51\\.100\\.0') },
  },
  {
    row: 'C3',
    of: ['Debian bridge'],
    instead: 'the same for IPv6',
    why: 'as above',
    observed: { 'an IPv6 route without a gateway': noRoute('2001:db8:7::') },
  },
  {
    row: 'C3',
    of: of('bridge'),
    instead: 'fails without IPAM: `no plugin name provided`',
    why: 'ADD accepted it',
    observed: { 'layer 2 alone': { code: 999, msg: 'no plugin name provided' } },
  },
  {
    row: 'C5a',
    of: of('bridge', 'ptp'),
    instead: 'does not look at the masquerading rules',
    why: 'a container that reaches nobody is not in order',
    observed: { 'the masquerading': false },
  },
]

/** Differences in rows A, D and C. */
export const verbDeviations: readonly Deviation[] = [...adding, ...deleting, ...checking]
