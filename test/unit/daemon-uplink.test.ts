import test from 'ava'
import type { Uplink } from '../../daemon/backend/backend.ts'
import { chooseUplinks, type UplinkChoice, type UplinkFacts } from '../../daemon/uplink/uplink.ts'
import { type Address, formatAddress, parseAddress } from '../../ip/address.ts'
import { valuesOf } from '../../ip/by-family.ts'
import { parsePrefix } from '../../ip/prefix.ts'
import type { InterfaceAddress } from '../../netlink/address.ts'
import type { Link } from '../../netlink/link.ts'

function ip(text: string): Address {
  const value = parseAddress(text)
  if (!value) throw new Error(text)
  return value
}

function link(index: number, name: string): Link {
  return {
    index,
    name,
    mtu: 1500,
    up: true,
    running: true,
    operstate: 6,
    promiscuous: false,
  }
}

type Flags = Pick<InterfaceAddress, 'scope' | 'permanent' | 'temporary' | 'deprecated'>

function address(index: number, text: string, more: Partial<Flags> = {}): InterfaceAddress {
  const prefix = parsePrefix(text)
  if (!prefix) throw new Error(text)
  const usual = {
    scope: 0,
    permanent: true,
    temporary: false,
    deprecated: false,
    noPrefixRoute: false,
  }
  return { index, prefix, tentative: false, dadFailed: false, ...usual, ...more }
}

const facts: UplinkFacts = {
  links: [link(1, 'lo'), link(2, 'eth0'), link(3, 'eth1'), link(4, 'ens5')],
  addresses: [
    address(1, '127.0.0.1/8', { scope: 254 }),
    address(2, '192.168.0.1/24'),
    address(2, 'fe80::1/64', { scope: 253 }),
    address(2, '2001:db8::dead/64', { permanent: false, temporary: true }),
    address(2, '2001:db8::1/64', { permanent: false }),
    address(3, '10.0.0.1/24'),
    address(3, 'fd00::0/64', { deprecated: true }),
    address(3, 'fd00::1/64'),
    address(4, '172.16.0.1/24'),
  ],
  defaults: { 4: [2], 6: [2] },
  reach: { 4: 3 },
}

const nothing: UplinkChoice = { ifaces: [], regexes: [], canReach: undefined, publicIP: {} }

function choose(choice: Partial<UplinkChoice>, families: (4 | 6)[] = [4], from = facts): string {
  const chosen = chooseUplinks(families, { ...nothing, ...choice }, from)
  if (typeof chosen === 'string') return chosen
  return valuesOf<Uplink>(chosen)
    .map(
      ({ name, address, publicIP }) =>
        `${name} ${formatAddress(address)} ${formatAddress(publicIP)}`,
    )
    .join(', ')
}

test('chooseUplinks() takes the default route’s interface', (t) => {
  t.is(choose({}), 'eth0 192.168.0.1 192.168.0.1')
})

test('chooseUplinks() prefers global, permanent and lasting IPv6 addresses', (t) => {
  t.is(choose({}, [6]), 'eth0 2001:db8::1 2001:db8::1')
})

test('chooseUplinks() takes the first interface that exists, by name or by address', (t) => {
  t.is(choose({ ifaces: ['eth9', 'eth1', 'eth0'] }), 'eth1 10.0.0.1 10.0.0.1')
  t.is(choose({ ifaces: ['172.16.0.1'] }), 'ens5 172.16.0.1 172.16.0.1')
  t.is(choose({ ifaces: ['10.0.0.1'] }, [4, 6]), 'eth1 10.0.0.1 10.0.0.1, eth1 fd00::1 fd00::1')
})

test('chooseUplinks() matches a pattern with addresses, then with names', (t) => {
  t.is(choose({ regexes: [/^172/] }), 'ens5 172.16.0.1 172.16.0.1')
  t.is(choose({ regexes: [/^en/] }), 'ens5 172.16.0.1 172.16.0.1')
  t.is(choose({ regexes: [/^none/, /^eth1$/] }), 'eth1 10.0.0.1 10.0.0.1')
})

test('chooseUplinks() takes the interface that reaches an address', (t) => {
  t.is(choose({ canReach: ip('10.9.9.9') }), 'eth1 10.0.0.1 10.0.0.1')
})

test('chooseUplinks() finds the public address among the host’s own', (t) => {
  t.is(choose({ publicIP: { 4: ip('172.16.0.1') } }), 'ens5 172.16.0.1 172.16.0.1')
})

test('chooseUplinks() advertises a public address that the host does not have', (t) => {
  const publicIP = { 4: ip('203.0.113.7') }
  t.is(choose({ publicIP }), 'eth0 192.168.0.1 203.0.113.7')
  t.is(choose({ publicIP, ifaces: ['eth1'] }), 'eth1 10.0.0.1 203.0.113.7')
})

test('chooseUplinks() chooses each family by its own default route', (t) => {
  const apart = { ...facts, defaults: { 4: [2], 6: [3] } }
  t.is(choose({}, [4, 6], apart), 'eth0 192.168.0.1 192.168.0.1, eth1 fd00::1 fd00::1')
})

test('chooseUplinks() says what it waits for', (t) => {
  const bare = { ...facts, defaults: {} }
  t.is(
    choose({}, [4], bare),
    'no IPv4 address on the interface of the default route (--iface chooses one)',
  )
  t.is(choose({ ifaces: ['eth9'] }), 'no IPv4 address on an interface that is eth9')
  t.is(choose({ ifaces: ['ens5'] }, [4, 6]), 'no IPv6 address on an interface that is ens5')
})
