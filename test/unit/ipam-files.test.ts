import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { allocate } from '../../ipam/allocate.ts'
import {
  AddressTaken,
  DuplicateAllocation,
  PoolExhausted,
  ReservationMissing,
} from '../../ipam/errors.ts'
import { Net } from './ipam-net.ts'

const small = { subnet: '10.1.2.0/29' }
const dual = {
  ranges: [[{ subnet: '10.1.2.0/24' }, { subnet: '10.2.2.0/24' }], [{ subnet: '2001:db8:1::/64' }]],
}

test('allocate() writes upstream files to the byte and answers in the order of the sets', (t) => {
  const net = new Net(t, { ...dual, routes: [{ dst: '0.0.0.0/0' }] })
  t.deepEqual(net.add('dummy'), {
    ips: [
      { address: '10.1.2.2/24', gateway: '10.1.2.1' },
      { address: '2001:db8:1::2/64', gateway: '2001:db8:1::1' },
    ],
    routes: [{ dst: '0.0.0.0/0' }],
  })
  t.deepEqual(net.files(), { '10.1.2.2': 'dummy\r\neth0', '2001:db8:1::2': 'dummy\r\neth0' })
  t.is(net.read('last_reserved_ip.0'), '10.1.2.2')
  t.is(net.read('last_reserved_ip.1'), '2001:db8:1::2')
  t.is(statSync(join(net.folder, '10.1.2.2')).mode & 0o777, 0o600)
  for (const [path, mode] of [
    [net.dataDir, 0o755],
    [net.folder, 0o755],
    [net.sidecar, 0o700],
    [net.staging, 0o700],
  ] as const) {
    t.is(statSync(path).mode & 0o777, mode, path)
  }
  t.is(readdirSync(net.folder).length, 5)
  t.deepEqual(readdirSync(net.staging), [])
})

test('allocate() answers dns from resolvConf, and reserves nothing when it cannot', (t) => {
  const net = new Net(t, small)
  net.write('../resolv', 'nameserver 192.0.2.3\n')
  const ask = (resolvConf: string) =>
    allocate(net.plan([], { ...small, resolvConf }), { containerId: 'a', ifname: 'e' }, net.deps)
  t.throws(() => ask(join(net.dataDir, 'none')), { code: 'ENOENT' })
  t.deepEqual(readdirSync(net.folder), [])
  t.deepEqual(ask(join(net.dataDir, 'resolv')).dns, { nameservers: ['192.0.2.3'] })
})

test('allocate() gives each address once and then says that none is left', (t) => {
  const net = new Net(t, small)
  const given = ['a', 'b', 'c', 'd', 'e'].flatMap((id) => net.addresses(id))
  t.deepEqual(
    given,
    [2, 3, 4, 5, 6].map((host) => `10.1.2.${host}/29`),
  )
  const before = net.files()
  const error = t.throws(() => net.add('f'), { instanceOf: PoolExhausted })
  t.is(
    error.message,
    'failed to allocate for range 0: no IP addresses available in range set: 10.1.2.1-10.1.2.6',
  )
  t.is(error.details, `every address is reserved in ${net.folder}`)
  t.deepEqual(net.files(), before)
  t.deepEqual(readdirSync(net.staging), [])
})

test('allocate() starts after the last reserved address, even a freed one', (t) => {
  const net = new Net(t, small)
  t.deepEqual(net.addresses('a'), ['10.1.2.2/29'])
  net.del('a')
  t.deepEqual(net.addresses('a'), ['10.1.2.3/29'])
  t.is(net.read('last_reserved_ip.0'), '10.1.2.3')
})

for (const content of ['', 'garbage', '10.1.2.4\n', '10.9.9.9']) {
  test(`allocate() starts at the front when last_reserved_ip is ${JSON.stringify(content)}`, (t) => {
    const net = new Net(t, small)
    net.write('last_reserved_ip.0', content)
    t.deepEqual(net.addresses('a'), ['10.1.2.2/29'])
  })
}

test('allocate() skips what others reserved, in whatever form', (t) => {
  const net = new Net(t, small)
  net.write('10.1.2.2', 'old')
  net.write('10.1.2.3', 'x\neth0')
  mkdirSync(join(net.folder, '10.1.2.4'))
  t.deepEqual(net.addresses('a'), ['10.1.2.5/29'])
})

test('allocate() takes an address whose file is empty, and says so', (t) => {
  const net = new Net(t, small)
  net.write('10.1.2.2', '')
  t.deepEqual(net.addresses('a'), ['10.1.2.2/29'])
  t.is(net.read('10.1.2.2'), 'a\r\neth0')
  t.is(net.warnings.length, 1)
})

test('allocate() refuses a second address for the same interface and keeps the first', (t) => {
  const net = new Net(t, small)
  net.add('a')
  const before = net.files()
  for (const ips of [[], ['10.1.2.5']]) {
    const error = t.throws(() => net.add('a', ...ips), { instanceOf: DuplicateAllocation })
    t.is(
      error.message,
      'failed to allocate for range 0: 10.1.2.2 has been allocated to a, duplicate allocation is not allowed',
    )
  }
  t.deepEqual(net.files(), before)
  t.deepEqual(net.addresses('b'), ['10.1.2.3/29'])
})

test('allocate() counts a file without an interface as the same container', (t) => {
  const net = new Net(t, small)
  net.write('10.1.2.4', ' a \n')
  t.throws(() => net.add('a'), { instanceOf: DuplicateAllocation })
})

test('allocate() gives two interfaces of one container an address each', (t) => {
  const net = new Net(t, small)
  net.add('a')
  allocate(net.plan(), { containerId: 'a', ifname: 'eth1' }, net.deps)
  t.deepEqual(net.files(), { '10.1.2.2': 'a\r\neth0', '10.1.2.3': 'a\r\neth1' })
  net.del('a', 'eth1')
  t.deepEqual(net.files(), { '10.1.2.2': 'a\r\neth0' })
})

test('allocate() gives requested addresses and remembers them as the last', (t) => {
  const net = new Net(t, dual)
  t.deepEqual(net.addresses('a', '10.2.2.9', '2001:db8:1::77'), [
    '10.2.2.9/24',
    '2001:db8:1::77/64',
  ])
  t.is(net.read('last_reserved_ip.0'), '10.2.2.9')
  t.deepEqual(net.addresses('b'), ['10.2.2.10/24', '2001:db8:1::78/64'])
})

test('allocate() refuses a requested address that is taken', (t) => {
  const net = new Net(t, small)
  net.add('a', '10.1.2.5')
  const error = t.throws(() => net.add('b', '10.1.2.5'), { instanceOf: AddressTaken })
  t.is(
    error.message,
    'failed to allocate for range 0: requested IP address 10.1.2.5 is not available in range set 10.1.2.1-10.1.2.6',
  )
  t.deepEqual(net.files(), { '10.1.2.5': 'a\r\neth0' })
})

test('allocate() gives back what earlier sets gave when a later one has nothing', (t) => {
  const net = new Net(t, { ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.3.3.0/30' }]] })
  net.add('a')
  t.throws(() => net.add('b'), {
    message:
      'failed to allocate for range 1: no IP addresses available in range set: 10.3.3.1-10.3.3.2',
  })
  t.deepEqual(Object.keys(net.files()), ['10.1.2.2', '10.3.3.2'])
  t.is(net.read('last_reserved_ip.0'), '10.1.2.2')
})

test('allocate() passes the failure to lock on, with nothing left behind', (t) => {
  const net = new Net(t, small)
  const lock = () => {
    throw new Error('locked')
  }
  const owner = { containerId: 'a', ifname: 'eth0' }
  t.throws(() => allocate(net.plan(), owner, { ...net.deps, lock }), { message: 'locked' })
  t.false(existsSync(net.folder))
  t.deepEqual(readdirSync(net.staging), [])
})

test('allocate() leaves nothing behind when it cannot write', (t) => {
  const net = new Net(t, small)
  net.add('a')
  rmSync(net.staging, { recursive: true })
  writeFileSync(net.staging, 'not a folder')
  const before = net.files()
  t.throws(() => net.add('b'), { code: 'ENOTDIR' })
  t.deepEqual(net.files(), before)
})

test('release() frees the interface, and files without one only when it holds none', (t) => {
  const net = new Net(t, small)
  net.write('10.1.2.2', 'a\r\neth0')
  net.write('10.1.2.3', 'a')
  net.write('10.1.2.4', 'ab\r\neth0')
  net.write('10.9.9.9', ' a\r\neth0\n')
  net.del('a')
  t.deepEqual(Object.keys(net.files()), ['10.1.2.3', '10.1.2.4'])
  net.del('a')
  net.del('a')
  t.deepEqual(Object.keys(net.files()), ['10.1.2.4'])
})

test('release() of an unknown container in an unknown network makes nothing', (t) => {
  const net = new Net(t, small)
  net.del('a')
  t.false(existsSync(net.dataDir))
})

test('release() leaves lock and last_reserved_ip alone, whatever the container is called', (t) => {
  const net = new Net(t, small)
  net.add('b')
  net.del('10.1.2.2')
  t.is(net.read('last_reserved_ip.0'), '10.1.2.2')
  t.true(existsSync(join(net.folder, 'lock')))
})

test('check() finds an address of the interface or of a file without one', (t) => {
  const net = new Net(t, small)
  t.throws(() => net.check('a'), {
    instanceOf: ReservationMissing,
    message: 'host-local: Failed to find address added by container a',
  })
  t.false(existsSync(net.dataDir))
  net.add('a')
  net.write('10.1.2.6', 'old')
  t.notThrows(() => net.check('a'))
  t.notThrows(() => net.check('old'))
  t.throws(() => net.check('a', 'eth1'), { instanceOf: ReservationMissing })
})
