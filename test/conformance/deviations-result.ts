import { both, type Deviation, of } from './deviation.ts'

const goRoute = 'routes[{advmss dst mtu priority} {dst}]'
const versioned = `{cniVersion dns{} interfaces[{mac name} {mac name sandbox}] ips[{address gateway interface version}] ${goRoute}}`
const plain = `interfaces[{mac name} {mac name sandbox}] ips[{address gateway interface}]`

/** Differences in rows 1.4 and R. */
export const resultDeviations: readonly Deviation[] = [
  {
    row: '1.4/999',
    of: both,
    instead: 'has one code, 999, for all that a plugin itself finds wrong',
    why: 'a runtime can tell "try again" from "mend the configuration" by the code; this deviation holds in every row',
    observed: { CNI_ARGS: 999, 'a type that is a number': 999 },
  },
  {
    row: 'R1',
    of: ['Debian'],
    instead: 'refuses 1.1.0',
    why: 'older',
    observed: { '1.1.0': 'incompatible CNI versions' },
  },
  {
    row: 'R1',
    of: of('bandwidth'),
    instead: 'refuses 0.1.0 and 0.2.0',
    why: 'as V3',
    observed: { '0.1.0': 'incompatible CNI versions', '0.2.0': 'incompatible CNI versions' },
  },
  {
    row: 'R3',
    of: ['Debian bridge'],
    instead: 'prints an empty `dns` in 1.0.0 too',
    why: 'it is optional there, and says nothing',
    observed: { '1.0.0 without addresses': ['cniVersion', 'dns', 'interfaces'] },
  },
  {
    row: 'R6a',
    of: ['Debian bridge'],
    instead: 'prints an empty `dns` in 1.0.0 too, and refuses 1.1.0',
    why: 'as R3; older',
    observed: {
      '1.0.0': `{cniVersion dns{} ${plain} routes[{dst}]}`,
      '1.1.0': 'incompatible CNI versions',
    },
  },
  {
    row: 'R6a',
    of: ['1.9.1 bridge'],
    instead:
      'prints the new attributes of routes in 0.3.0 to 1.0.0, and no `mtu` of interfaces in 1.1.0',
    why: 'an older reader is given what its version has a place for, a newer one all there is',
    observed: {
      '0.3.0': versioned,
      '0.3.1': versioned,
      '0.4.0': versioned,
      '1.0.0': `{cniVersion ${plain} ${goRoute}}`,
      '1.1.0': `{cniVersion ${plain} ${goRoute}}`,
    },
  },
  {
    row: 'R6b',
    of: of('bridge'),
    instead: 'finds out when all is made, and leaves it there',
    why: 'what fails leaves nothing behind',
    observed: { left: ['address', 'link', 'route'] },
  },
  {
    row: 'R9',
    of: of('portmap', 'bandwidth'),
    instead: 'drops what it does not know of',
    why: 'a chain loses nothing by us',
    observed: { kept: false },
  },
  {
    row: 'R11',
    of: ['Debian loopback'],
    instead:
      'prints the shape of 0.3.0 under every older version, with `dns` in 1.0.0, and refuses 1.1.0',
    why: 'a reader of 0.2.0 finds no address',
    observed: {
      '0.1.0': ['cniVersion', 'dns', 'interfaces', 'ips'],
      '0.2.0': ['cniVersion', 'dns', 'interfaces', 'ips'],
      '1.0.0': ['cniVersion', 'dns', 'interfaces', 'ips'],
      '1.1.0': 'incompatible CNI versions',
    },
  },
  {
    row: 'R11',
    of: ['1.9.1 loopback'],
    instead: 'prints the shape of 1.0.0 under every version',
    why: 'a reader of 0.2.0 finds no address',
    observed: Object.fromEntries(
      ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0'].map((version) => [
        version,
        ['cniVersion', 'interfaces', 'ips'],
      ]),
    ),
  },
]
