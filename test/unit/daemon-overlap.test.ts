import test from 'ava'
import { overlapsWith } from '../../daemon/config/overlap.ts'
import { parseAddress } from '../../ip/address.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'
import type { Route } from '../../netlink/route.ts'

function prefix(text: string): Prefix {
  const value = parsePrefix(text)
  if (!value) throw new Error(text)
  return value
}

function route(text: string, via?: string, more: Partial<Route> = {}): Route {
  const gateway = via === undefined ? undefined : parseAddress(via)
  return { destination: prefix(text), oif: 2, protocol: 4, ...(gateway && { gateway }), ...more }
}

const pools = {
  4: { network: prefix('10.244.0.0/16') },
  6: { network: prefix('fd00:10:244::/48') },
}
const names = new Map([
  [2, 'eth0'],
  [3, 'cni0'],
  [4, 'flannel.1'],
])

function found(routes: readonly Route[], used: readonly Prefix[] = []): [string, boolean][] {
  const host = { used, nameOf: (index: number) => names.get(index) }
  return overlapsWith(pools, routes, host).map(({ text, isFatal }) => [text, isFatal])
}

test('overlapsWith() names the route, its device and the key', (t) => {
  t.deepEqual(found([route('10.244.7.0/24')]), [
    [
      'Network 10.244.0.0/16 overlaps with this host’s route "10.244.7.0/24 dev eth0": choose another Network, or remove the route',
      true,
    ],
  ])
  const [text = '', isFatal] = found([route('fd00:10:244:5::/64', 'fe80::1')])[0] ?? []
  t.regex(text, /^IPv6Network fd00:10:244::\/48 .*"fd00:10:244:5::\/64 via fe80::1 dev eth0"/)
  t.true(isFatal)
})

test('overlapsWith() refuses a link that the network would cut off, and warns of a wider route', (t) => {
  t.deepEqual(
    found([
      route('10.0.0.0/8'),
      route('10.0.0.0/8', '192.168.0.1'),
      route('10.244.0.0/16', '192.168.0.1'),
    ]).map(([, isFatal]) => isFatal),
    [true, false, true],
  )
})

test('overlapsWith() passes over the default route, ours, flannel’s, the plugin’s and all others', (t) => {
  t.deepEqual(
    found([
      route('0.0.0.0/0', '192.168.0.1'),
      route('::/0', 'fe80::1'),
      route('192.168.0.0/24'),
      route('10.245.0.0/16'),
      route('10.244.7.0/24', '192.168.0.7', { protocol: 104 }),
      route('10.244.8.0/24', '10.244.8.0', { oif: 4, protocol: 3 }),
      route('10.244.5.0/24', undefined, { oif: 3 }),
    ]),
    [],
  )
})

test('overlapsWith() lets a network be that this host has used before', (t) => {
  t.deepEqual(found([route('10.244.7.0/24')], [prefix('10.244.0.0/16')]), [])
  t.is(found([route('10.244.7.0/24')], [prefix('10.244.128.0/17')]).length, 1)
})
