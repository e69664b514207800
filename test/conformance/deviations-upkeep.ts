import { type Deviation, of } from './deviation.ts'

const attached = ['address', 'link', 'route']
const stale = ['a: state', 'a: link', 'b: state', 'b: link']

const collecting: readonly Deviation[] = [
  {
    row: 'G1a',
    of: ['1.9.1 bridge', '1.9.1 ptp', '1.9.1 macvlan'],
    instead: 'says yes to GC and does nothing',
    why: 'GC is there to remove what DEL did not',
    observed: { left: [...stale, 'c: state', 'c: link', 'o: state', 'o: link'] },
  },
  {
    row: 'G1a',
    of: ['1.9.1 host-local'],
    instead: 'says yes to GC and does nothing',
    why: 'as above',
    observed: { left: ['a: state', 'b: state', 'c: state', 'o: state'] },
  },
  {
    row: 'G1b',
    of: ['1.9.1 bridge', '1.9.1 ptp', '1.9.1 macvlan'],
    instead: 'the same',
    why: 'as above',
    observed: { left: stale },
  },
  {
    row: 'G1b',
    of: ['1.9.1 host-local'],
    instead: 'the same',
    why: 'as above',
    observed: { left: ['a: state', 'b: state'] },
  },
  {
    row: 'G1c',
    of: ['1.9.1 bridge', '1.9.1 ptp', '1.9.1 macvlan'],
    instead: 'the same; nor is the delegate asked',
    why: 'as above',
    observed: { GC: 'ok', asked: [], links: ['a: link'] },
  },
  {
    row: 'G2',
    of: ['1.9.1 bridge', '1.9.1 ptp', '1.9.1 macvlan'],
    instead: 'the same',
    why: 'as above',
    observed: { left: stale, 'left after nil': ['c: state', 'c: link'] },
  },
  {
    row: 'G2',
    of: ['1.9.1 host-local'],
    instead: 'the same',
    why: 'as above',
    observed: { left: ['a: state', 'b: state'], 'left after nil': ['c: state'] },
  },
  {
    row: 'G4',
    of: ['1.9.1 bridge', '1.9.1 host-local'],
    instead: 'the same',
    why: 'as above',
    observed: { left: ['gone', 'old'] },
  },
  {
    row: 'G5',
    of: ['1.9.1 bridge', '1.9.1 ptp', '1.9.1 macvlan'],
    instead: 'the same',
    why: 'as above',
    observed: {
      left: [...stale, ...['o', 'p', 'q'].flatMap((name) => [`${name}: state`, `${name}: link`])],
    },
  },
  {
    row: 'G5',
    of: ['1.9.1 host-local'],
    instead: 'the same',
    why: 'as above',
    observed: { left: ['a', 'b', 'o', 'p', 'q'].map((name) => `${name}: state`) },
  },
]

const rest: readonly Deviation[] = [
  {
    row: 'L5',
    of: of('bridge', 'macvlan'),
    instead:
      'asks no delegate to DEL, neither after its own failure nor after a later one of the plugin',
    why: 'the specification says so, and the address would be lost',
    observed: { failing: ['ADD'], later: [] },
  },
  {
    row: 'L5',
    of: of('ptp'),
    instead: 'does not ask the delegate to DEL when its ADD has failed',
    why: 'the specification says so',
    observed: { failing: ['ADD'] },
  },
  {
    row: 'K6',
    of: of('bridge', 'macvlan'),
    instead: 'refuses `IP=` as unknown, although host-local would take it',
    why: 'the argument is one of the conventions; `IgnoreUnknown` need not be thought of',
    observed: { IP: false },
  },
  {
    row: 'K7',
    of: of('bridge', 'ptp', 'macvlan', 'host-local'),
    instead: 'adds both lists up, and fails because it cannot give both addresses',
    why: 'the conventions say that CNI_ARGS is ignored then',
    observed: { address: false },
  },
]

const scenarios: readonly Deviation[] = [
  {
    row: '5/bridge-dns',
    of: ['Debian bridge'],
    instead: 'loses what IPAM said of name servers',
    why: 'mended upstream since',
    observed: { file: {} },
  },
  {
    row: '5/bridge-three',
    of: of('bridge'),
    instead: 'leaves a veth, and DEL fails the same way',
    why: 'what fails leaves nothing behind; DEL must always come to an end',
    observed: {
      left: attached,
      deleted: {
        code: 999,
        msg: 'CNI version 0.2.0 does not support more than 1 address per family',
      },
    },
  },
  {
    row: '5/bridge-down',
    of: ['Debian bridge'],
    instead: 'does not know the key, and ignores it',
    why: 'older',
    observed: { 'with IPAM': 'result' },
  },
  {
    row: '5/bandwidth-shapes',
    of: of('bandwidth'),
    instead: "leaves the queue on the host's end of the veth",
    why: 'a chained plugin takes away what it has put there',
    observed: { left: ['link', 'qdisc'] },
  },
]

/** Differences in rows G, L and K, and in the cases of upstream's tests. */
export const upkeepDeviations: readonly Deviation[] = [...collecting, ...rest, ...scenarios]
