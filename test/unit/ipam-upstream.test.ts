/** The cases of upstream's own tests of host-local (plugins/ipam/host-local, v1.9.1), told anew. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { supportedVersions } from '../../cni/protocol/versions.ts'
import { runIpam } from '../../ipam/main.ts'
import { silent } from '../../log/logger.ts'

interface Answer {
  readonly code: number
  readonly json: { readonly code?: number; readonly msg?: string } | undefined
  /** Address and gateway by family, whatever the version's form. */
  readonly ips: readonly string[]
  readonly log: readonly string[]
}

/** A data folder, and a plugin on it that speaks one version. */
class World {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'heddle-ipam-'))
  readonly #version: string

  constructor(t: ExecutionContext, version: string) {
    this.#version = version
    t.teardown(() => rmSync(this.dataDir, { recursive: true }))
  }

  call(
    command: string,
    id: string,
    ipam: object,
    more: { ifname?: string; conf?: object; args?: string } = {},
  ): Answer {
    const { ifname = 'eth0', conf = {}, args = '' } = more
    const text = JSON.stringify({
      cniVersion: this.#version,
      name: 'mynet',
      type: 'ipvlan',
      ...conf,
      ipam: { type: 'host-local', dataDir: this.dataDir, ...ipam },
    })
    let stdout = ''
    const log: string[] = []
    const io = {
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: '/some/where',
        CNI_IFNAME: ifname,
        CNI_PATH: '/x',
        CNI_ARGS: args,
      },
      readStdin: () => text,
      writeStdout: (part: string) => void (stdout += part),
      writeStderr: (part: string) => void log.push(part),
    }
    const note = (message: string) => void log.push(message)
    const lock = (path: string) => {
      if (!existsSync(path)) writeFileSync(path, '')
      return { [Symbol.dispose]() {} }
    }
    const code = runIpam(io, {
      lock,
      log: { ...silent, warn: note, error: note },
      name: 'host-local',
      version: '1.2.3',
      isOwnNetns: () => false,
    })
    const json = stdout === '' ? undefined : JSON.parse(stdout)
    return { code, json, ips: addressesOf(json), log }
  }

  read(name: string): string {
    return readFileSync(join(this.dataDir, 'mynet', name), 'utf8')
  }

  addresses(): string[] {
    const folder = join(this.dataDir, 'mynet')
    const names = existsSync(folder) ? readdirSync(folder) : []
    return names.filter((name) => /^[\da-f.:]+$/.test(name)).toSorted()
  }
}

interface Single {
  readonly ip: string
  readonly gateway: string
}

/** A result of any version. */
interface AnyResult {
  readonly ip4?: Single
  readonly ip6?: Single
  readonly ips?: readonly { readonly address: string; readonly gateway: string }[]
}

function addressesOf(result: AnyResult | undefined): string[] {
  const single = [result?.ip4, result?.ip6].flatMap((part) => part ?? [])
  const several = (result?.ips ?? []).map(({ address, gateway }) => ({ ip: address, gateway }))
  return [...single, ...several].map(({ ip, gateway }) => `${ip} via ${gateway}`)
}

for (const version of supportedVersions) {
  test(`host-local ${version}: ADD and DEL with two sets, dns and routes`, (t) => {
    const world = new World(t, version)
    const resolvConf = join(world.dataDir, 'resolv.conf')
    writeFileSync(resolvConf, 'nameserver 192.0.2.3')
    const ipam = {
      resolvConf,
      ranges: [
        [{ subnet: '10.1.2.0/24' }, { subnet: '10.2.2.0/24' }],
        [{ subnet: '2001:db8:1::0/64' }],
      ],
      routes: [
        { dst: '0.0.0.0/0' },
        { dst: '::/0' },
        { dst: '192.168.0.0/16', gw: '1.1.1.1' },
        { dst: '2001:db8:2::0/64', gw: '2001:db8:3::1' },
      ],
    }
    const added = world.call('ADD', 'dummy', ipam)
    t.is(added.code, 0, JSON.stringify(added.json))
    t.deepEqual(added.ips, ['10.1.2.2/24 via 10.1.2.1', '2001:db8:1::2/64 via 2001:db8:1::1'])
    t.true(JSON.stringify(added.json).includes('"nameservers":["192.0.2.3"]'))
    for (const dst of ['0.0.0.0/0', '::/0', '192.168.0.0/16', '2001:db8:2::/64'])
      t.true(JSON.stringify(added.json).includes(`"dst":"${dst}"`), dst)
    t.is(world.read('10.1.2.2'), 'dummy\r\neth0')
    t.is(world.read('2001:db8:1::2'), 'dummy\r\neth0')
    t.is(world.read('last_reserved_ip.0'), '10.1.2.2')
    t.is(world.read('last_reserved_ip.1'), '2001:db8:1::2')
    t.is(world.call('DEL', 'dummy', ipam).code, 0)
    t.deepEqual(world.addresses(), [])
  })

  test(`host-local ${version}: two interfaces of one container are freed apart`, (t) => {
    const world = new World(t, version)
    const first = { subnet: '10.1.2.0/24' }
    t.deepEqual(world.call('ADD', 'dummy', first).ips, ['10.1.2.2/24 via 10.1.2.1'])
    t.deepEqual(world.call('ADD', 'dummy', first, { ifname: 'eth1' }).ips, [
      '10.1.2.3/24 via 10.1.2.1',
    ])
    t.is(world.call('DEL', 'dummy', first).code, 0)
    t.deepEqual(world.addresses(), ['10.1.2.3'])
    t.is(world.read('10.1.2.3'), 'dummy\r\neth1')
    t.is(world.call('DEL', 'dummy', first, { ifname: 'eth1' }).code, 0)
    t.deepEqual(world.addresses(), [])
  })

  test(`host-local ${version}: the same container is refused a second time, another gets the next`, (t) => {
    const world = new World(t, version)
    const ipam = { subnet: '10.1.2.0/24' }
    world.call('ADD', 'dummy', ipam)
    const again = world.call('ADD', 'dummy', ipam)
    t.is(again.code, 1)
    t.is(
      again.json?.msg,
      'failed to allocate for range 0: 10.1.2.2 has been allocated to dummy, duplicate allocation is not allowed',
    )
    t.deepEqual(world.call('ADD', 'dummy1', ipam).ips, ['10.1.2.3/24 via 10.1.2.1'])
    t.is(world.call('DEL', 'dummy', ipam).code, 0)
    t.is(world.call('DEL', 'dummy1', ipam).code, 0)
    t.deepEqual(world.addresses(), [])
  })

  test(`host-local ${version}: DEL frees a file that names no interface, and knows no unknown container`, (t) => {
    const world = new World(t, version)
    const ipam = { subnet: '10.1.2.0/24' }
    mkdirSync(join(world.dataDir, 'mynet'))
    writeFileSync(join(world.dataDir, 'mynet/10.1.2.2'), 'dummy')
    t.is(world.call('DEL', 'unknown', ipam).code, 0)
    t.deepEqual(world.addresses(), ['10.1.2.2'])
    t.is(world.call('DEL', 'dummy', ipam).code, 0)
    t.deepEqual(world.addresses(), [])
  })

  test(`host-local ${version}: blanks around a file's text do not count`, (t) => {
    const world = new World(t, version)
    const ipam = { subnet: '10.1.2.0/24' }
    mkdirSync(join(world.dataDir, 'mynet'))
    writeFileSync(join(world.dataDir, 'mynet/10.1.2.2'), '   dummy\r\neth0\n ')
    t.is(world.call('ADD', 'dummy', ipam).code, 1)
    t.is(world.call('DEL', 'dummy', ipam).code, 0)
    t.deepEqual(world.addresses(), [])
  })

  test(`host-local ${version}: the first use says nothing`, (t) => {
    const world = new World(t, version)
    t.deepEqual(world.call('ADD', 'testing', { subnet: '10.1.2.0/24' }).log, [])
  })

  test(`host-local ${version}: an address asked for by args is given`, (t) => {
    const world = new World(t, version)
    const conf = { args: { cni: { ips: ['10.1.2.88'] } } }
    const added = world.call('ADD', 'dummy', { ranges: [[{ subnet: '10.1.2.0/24' }]] }, { conf })
    t.deepEqual(added.ips, ['10.1.2.88/24 via 10.1.2.1'])
  })

  test(`host-local ${version}: an address of each family asked for is given`, (t) => {
    const world = new World(t, version)
    const conf = { args: { cni: { ips: ['10.1.2.88', '2001:db8:1::999'] } } }
    const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: '2001:db8:1::/64' }]]
    const added = world.call('ADD', 'dummy', { ranges }, { conf })
    t.deepEqual(added.ips, ['10.1.2.88/24 via 10.1.2.1', '2001:db8:1::999/64 via 2001:db8:1::1'])
  })

  test(`host-local ${version}: an address asked for that no range has fails, and nothing stays`, (t) => {
    const world = new World(t, version)
    const conf = { args: { cni: { ips: ['10.1.2.88', '10.1.2.77'] } } }
    const added = world.call('ADD', 'dummy', { ranges: [[{ subnet: '10.1.2.0/24' }]] }, { conf })
    t.is(added.code, 1)
    t.is(added.json?.msg, 'failed to allocate all requested IPs: 10.1.2.77')
    t.deepEqual(world.addresses(), [])
  })
}

for (const version of supportedVersions.filter((version) => !/^0\.[12]\./.test(version))) {
  test(`host-local ${version}: several addresses asked for come out of several sets`, (t) => {
    const world = new World(t, version)
    const conf = { args: { cni: { ips: ['10.1.2.88', '10.1.3.77'] } } }
    const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.1.3.0/24' }]]
    t.deepEqual(world.call('ADD', 'dummy', { ranges }, { conf }).ips, [
      '10.1.2.88/24 via 10.1.2.1',
      '10.1.3.77/24 via 10.1.3.1',
    ])
  })
}

test('host-local: two IPv4 sets are refused by 0.2.0, for ADD', (t) => {
  const world = new World(t, '0.2.0')
  const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.1.3.0/24' }]]
  t.is(
    world.call('ADD', 'dummy', { ranges }).json?.msg,
    'CNI version 0.2.0 does not support more than 1 address per family',
  )
})

/** One address after another out of ranges, until there is none or one is asked for in vain. */
for (const [title, ranges, steps] of [
  [
    'the broadcast address is never given',
    [{ subnet: '192.168.1.0/29' }],
    ['.2', '.3', '.4', '.5', '.6', undefined],
  ],
  [
    "the first address may be the subnet's, which is passed over",
    [{ subnet: '192.168.1.0/29', rangeStart: '192.168.1.0', rangeEnd: '192.168.1.3' }],
    ['.2', '.3', undefined],
  ],
  [
    'out of addresses in a small range',
    [{ subnet: '192.168.1.0/29', rangeStart: '192.168.1.4', rangeEnd: '192.168.1.5' }],
    ['.4', '.5', undefined],
  ],
  [
    'out of addresses with the gateway in the middle',
    [{ subnet: '192.168.1.0/29', gateway: '192.168.1.3' }],
    ['.1', '.2', '.4', '.5', '.6', undefined],
  ],
  [
    'out of addresses in two ranges',
    [{ subnet: '192.168.1.0/30' }, { subnet: '192.168.1.8/30' }],
    ['.2', '.10', undefined],
  ],
  [
    "on to the second range after the first one's end",
    [{ subnet: '192.168.1.0/29', rangeStart: '192.168.1.5' }, { subnet: '192.168.1.16/29' }],
    ['.5', '.6', '.18', '.19'],
  ],
] as const) {
  test(`host-local's allocator: ${title}`, (t) => {
    const world = new World(t, '1.0.0')
    for (const [i, step] of steps.entries()) {
      const added = world.call('ADD', `id${i}`, { ranges: [ranges] })
      if (step === undefined)
        t.regex(added.json?.msg ?? '', /no IP addresses available in range set/)
      else t.is(added.ips[0]?.split('/')[0], `192.168.1${step}`)
    }
  })
}

test("host-local's allocator: after a release the next is the one after", (t) => {
  const world = new World(t, '1.0.0')
  const ipam = { subnet: '192.168.1.0/29' }
  world.call('ADD', 'a', ipam)
  world.call('DEL', 'a', ipam)
  t.deepEqual(world.call('ADD', 'a', ipam).ips, ['192.168.1.3/29 via 192.168.1.1'])
})

for (const [what, address, ok, msg] of [
  ['in the range', '192.168.1.5', true, ''],
  [
    'that is taken',
    '192.168.1.4',
    false,
    'failed to allocate for range 0: requested IP address 192.168.1.4 is not available in range set 192.168.1.3-192.168.1.5',
  ],
  ['after its end', '192.168.1.6', false, 'failed to allocate all requested IPs: 192.168.1.6'],
  ['before its start', '192.168.1.2', false, 'failed to allocate all requested IPs: 192.168.1.2'],
] as const) {
  test(`host-local's allocator: an address ${what}, asked for by CNI_ARGS`, (t) => {
    const world = new World(t, '1.0.0')
    const ipam = { subnet: '192.168.1.0/29', rangeStart: '192.168.1.3', rangeEnd: '192.168.1.5' }
    world.call('ADD', 'other', ipam, { args: 'IP=192.168.1.4' })
    const added = world.call('ADD', 'a', ipam, { args: `IP=${address}` })
    t.is(added.code, ok ? 0 : 1)
    if (ok) t.is(added.ips[0], `${address}/29 via 192.168.1.1`)
    else t.is(added.json?.msg, msg)
    t.deepEqual(world.addresses(), ok ? ['192.168.1.4', address] : ['192.168.1.4'])
  })
}

test('host-local: an empty IP in CNI_ARGS asks for nothing', (t) => {
  const world = new World(t, '1.0.0')
  t.deepEqual(world.call('ADD', 'a', { subnet: '10.1.2.0/24' }, { args: 'IP=' }).ips, [
    '10.1.2.2/24 via 10.1.2.1',
  ])
})
