import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { parseNetConf } from '../../conf/net-conf.ts'
import { type Allocation, allocate } from '../../ipam/allocate.ts'
import { check } from '../../ipam/check.ts'
import {
  AddressTaken,
  DuplicateAllocation,
  PoolExhausted,
  ReservationMissing,
} from '../../ipam/errors.ts'
import type { IpamDeps } from '../../ipam/folder.ts'
import { planIpam } from '../../ipam/plan.ts'
import { release } from '../../ipam/release.ts'
import { silent } from '../../log/logger.ts'

/** One network in a folder of its own, under a lock that only knows this process. */
class Net {
  readonly #place = mkdtempSync(join(tmpdir(), 'heddle-ipam-'))
  readonly dataDir = join(this.#place, 'networks')
  readonly folder = join(this.dataDir, 'net')
  readonly staging = join(this.dataDir, '.heddle', 'net')
  readonly warnings: string[] = []
  readonly #ipam: object
  #held = false

  constructor(t: ExecutionContext, ipam: object) {
    this.#ipam = ipam
    t.teardown(() => rmSync(this.#place, { recursive: true, force: true }))
  }

  readonly deps: IpamDeps = {
    log: { ...silent, warn: (message) => this.warnings.push(message) },
    lock: (path) => {
      if (this.#held) throw new Error('the lock is taken twice')
      writeFileSync(path, '')
      this.#held = true
      return {
        [Symbol.dispose]: () => {
          this.#held = false
        },
      }
    },
  }

  plan(ips: readonly string[] = [], ipam: object = this.#ipam) {
    const conf = { cniVersion: '1.0.0', name: 'net', runtimeConfig: { ips } }
    const text = JSON.stringify({ ...conf, ipam: { ...ipam, dataDir: this.dataDir } })
    return planIpam(parseNetConf(text), new Map())
  }

  add(containerId: string, ...ips: string[]): Allocation {
    return allocate(this.plan(ips), { containerId, ifname: 'eth0' }, this.deps)
  }

  addresses(containerId: string, ...ips: string[]): string[] {
    return this.add(containerId, ...ips).ips.map(({ address }) => address)
  }

  del(containerId: string, ifname = 'eth0'): void {
    release(this.plan(), { containerId, ifname }, this.deps)
  }

  check(containerId: string, ifname = 'eth0'): void {
    check(this.plan(), { containerId, ifname }, this.deps)
  }

  /** The address files, and what they hold. */
  files(): Record<string, string> {
    const all = existsSync(this.folder) ? readdirSync(this.folder) : []
    const names = all.filter((name) => /^[\da-f.:]+$/.test(name))
    return Object.fromEntries(names.toSorted().map((name) => [name, this.read(name)]))
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }

  write(name: string, content: string): void {
    mkdirSync(this.folder, { recursive: true })
    writeFileSync(join(this.folder, name), content)
  }
}

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
  t.false(existsSync(net.dataDir))
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

test('allocate() and release() remove what a killed ADD staged, without writing to it', (t) => {
  const net = new Net(t, small)
  net.add('a')
  const staged = join(net.staging, 'reservation')
  linkSync(join(net.folder, '10.1.2.2'), staged)
  t.deepEqual(net.addresses('b'), ['10.1.2.3/29'])
  t.deepEqual(net.files(), { '10.1.2.2': 'a\r\neth0', '10.1.2.3': 'b\r\neth0' })
  t.false(existsSync(staged))
  linkSync(join(net.folder, '10.1.2.2'), staged)
  net.del('c')
  t.false(existsSync(staged))
  t.is(net.read('10.1.2.2'), 'a\r\neth0')
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

const steps = fc.array(
  fc.record({
    who: fc.integer({ min: 0, max: 11 }),
    kind: fc.constantFrom('add', 'add', 'del', 'crash'),
  }),
  { maxLength: 40 },
)

test('allocate() and release() neither lose nor double an address, whatever the order', (t) => {
  // Five usable addresses and three: the second range spans its broadcast address.
  const second = { subnet: '10.1.3.0/29', rangeStart: '10.1.3.4', rangeEnd: '10.1.3.7' }
  const usable = [2, 3, 4, 5, 6].map((host) => `10.1.2.${host}`)
  usable.push(...[4, 5, 6].map((host) => `10.1.3.${host}`))
  fc.assert(
    fc.property(steps, (sequence) => {
      const net = new Net(t, { ranges: [[{ subnet: '10.1.2.0/29' }, second]] })
      const holders = new Map<string, string>()
      for (const { who, kind } of sequence) {
        const id = `c${who}`
        if (kind === 'crash') {
          const free = usable.find((address) => !holders.has(address))
          if (free) net.write(free, '')
        } else if (kind === 'del') {
          net.del(id)
          for (const [address, holder] of holders) if (holder === id) holders.delete(address)
        } else if ([...holders.values()].includes(id)) {
          t.throws(() => net.add(id), { instanceOf: DuplicateAllocation })
        } else if (holders.size === usable.length) {
          t.throws(() => net.add(id), { instanceOf: PoolExhausted })
        } else {
          const [address = ''] = net.addresses(id).map((text) => text.replace('/29', ''))
          t.true(usable.includes(address))
          t.false(holders.has(address))
          holders.set(address, id)
        }
      }
      const held = Object.entries(net.files()).filter(([, text]) => text !== '')
      const expected = [...holders].map(([address, id]) => [address, `${id}\r\neth0`])
      t.deepEqual(Object.fromEntries(held), Object.fromEntries(expected))
    }),
    { numRuns: 60 },
  )
})
