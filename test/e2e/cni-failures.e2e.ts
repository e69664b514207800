import test, { type ExecutionContext } from 'ava'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  bareHost,
  changes,
  dump,
  mustRun,
  type PluginRun,
  podOn,
  runPlugin,
} from './cni-support.ts'
import { testWith } from './installed.ts'

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  ipMasq: true,
  ipam: {
    type: 'heddle-ipam',
    ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]],
  },
}
const tiny = { ...conf, ipam: { subnet: '10.88.0.0/30' } }

/** A host where one container is attached already, so that the bridge and the table are there. */
async function usedHost(t: ExecutionContext, name: string, first: object = conf): Promise<Host> {
  const host = await bareHost(t, name)
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: first })
  return host
}

interface Failure {
  readonly title: string
  readonly first?: object
  /** Brings about what makes ADD fail. */
  readonly prepare?: (host: Host, pod: Pod) => Promise<unknown>
  readonly run?: Partial<PluginRun>
  readonly code: number
  readonly msg: RegExp
}

const failures: readonly Failure[] = [
  {
    title: 'an exhausted pool',
    first: tiny,
    run: { conf: tiny },
    code: 11,
    msg: /^failed to allocate for range 0: no IP addresses available in range set: 10\.88\.0\.1-10\.88\.0\.2$/,
  },
  {
    title: 'an exhausted pool of the second family',
    run: {
      conf: {
        ...conf,
        name: 'other',
        bridge: 'other0',
        ipam: {
          ranges: [
            [{ subnet: '10.89.0.0/24' }],
            [{ subnet: 'fd00:89::/64', rangeStart: 'fd00:89::1', rangeEnd: 'fd00:89::1' }],
          ],
        },
      },
    },
    code: 11,
    msg: /^failed to allocate for range 1: no IP addresses available/,
  },
  {
    title: 'a missing namespace',
    run: { env: { CNI_NETNS: '/run/netns/none' } },
    code: 3,
    msg: /^failed to open netns "\/run\/netns\/none": failed to Statfs .*: no such file or directory$/,
  },
  {
    title: 'a file that is no namespace',
    run: { env: { CNI_NETNS: '/etc/passwd' } },
    code: 8,
    msg: /^failed to open netns "\/etc\/passwd": unknown FS magic on "\/etc\/passwd": /,
  },
  {
    title: "the plugin's own namespace",
    run: { env: { CNI_NETNS: '/proc/self/ns/net' } },
    code: 8,
    msg: /^plugin's netns and netns from CNI_NETNS should not be the same$/,
  },
  {
    title: 'an interface that is there already',
    prepare: (_, pod) => runAt(pod, ['ip', 'link', 'add', 'eth0', 'type', 'bridge']),
    code: 101,
    msg: /^container veth name provided \(eth0\) already exists$/,
  },
  {
    title: 'a bridge that has another address',
    prepare: async (host) => {
      await runAt(host, ['ip', 'link', 'add', 'br7', 'type', 'bridge'])
      await runAt(host, ['ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'br7'])
    },
    run: { conf: { ...conf, name: 'other', bridge: 'br7' } },
    code: 102,
    msg: /^"br7" already has an IP address different from 10\.88\.0\.1\/24$/,
  },
  {
    title: 'a bridge that is none',
    run: { conf: { ...conf, name: 'other', bridge: 'eth0' } },
    code: 102,
    msg: /^"eth0" already exists but is not a bridge$/,
  },
  { title: 'JSON cut short', run: { conf: '{"name":"net",' }, code: 6, msg: /^error unmarshall/ },
  { title: 'no configuration at all', run: { conf: '' }, code: 6, msg: /^error unmarshall/ },
  {
    title: 'a value of a wrong type',
    run: { conf: { ...conf, mtu: 'big' } },
    code: 6,
    msg: /"mtu"/,
  },
  {
    title: 'an MTU that no link has',
    run: { conf: { ...conf, mtu: 10 } },
    code: 7,
    msg: /^invalid MTU 10/,
  },
  {
    title: 'a requested address outside the ranges',
    run: { env: { CNI_ARGS: 'IP=10.99.0.5' } },
    code: 7,
    msg: /^failed to allocate all requested IPs: 10\.99\.0\.5$/,
  },
  {
    title: 'a MAC address of a group',
    run: { env: { CNI_ARGS: 'MAC=01:00:5e:00:00:01' } },
    code: 7,
    msg: /^failed to make veth pair: address 01:00:5e:00:00:01: invalid MAC address$/,
  },
  {
    title: 'a route that cannot be',
    run: {
      conf: { ...conf, ipam: { ...conf.ipam, routes: [{ dst: '10.1.0.0/16', gw: '192.0.2.1' }] } },
    },
    code: 100,
    msg: /10\.1\.0\.0\/16 via 192\.0\.2\.1/,
  },
  {
    title: 'an IPAM plugin that is not there',
    run: { conf: { ...conf, ipam: { type: 'nope' } } },
    code: 7,
    msg: /^failed to find plugin "nope" in path \[/,
  },
  {
    title: "an IPAM plugin's refusal",
    run: { conf: { ...conf, ipam: { type: 'static', addresses: [{ address: 'x' }] } } },
    code: 999,
    msg: /^the 'address' field is expected to be in CIDR notation, got: 'x'$/,
  },
]
for (const { title, first = conf, prepare, run = {}, code, msg } of failures) {
  test(`heddle ADD with ${title} says so and changes nothing`, async (t) => {
    const host = await usedHost(t, 'failures', first)
    const pod = await podOn(host, 'c1')
    await prepare?.(host, pod)
    const before = await dump(host, pod)
    const { code: exit, json } = await runPlugin(pod, { command: 'ADD', conf, ...run })
    t.is(exit, 1)
    t.is(json.code, code, JSON.stringify(json))
    t.regex(json.msg ?? '', msg)
    t.deepEqual(changes(before, await dump(host, pod)), [])
  })
}

test('heddle ADD twice refuses the second and leaves the first as it was', async (t) => {
  const host = await bareHost(t, 'twice')
  const pod = await podOn(host, 'c1')
  await mustRun(t, pod, { command: 'ADD', conf })
  const before = await dump(host, pod)
  const again = await runPlugin(pod, { command: 'ADD', conf })
  t.is(again.json.code, 101)
  t.deepEqual(changes(before, await dump(host, pod)), [])
  const other = await podOn(host, 'c2')
  const elsewhere = { CNI_CONTAINERID: pod.name.replaceAll('/', '-') }
  const moved = await runPlugin(other, { command: 'ADD', conf, env: elsewhere })
  t.regex(moved.json.msg ?? '', /duplicate allocation is not allowed$/)
  t.deepEqual(changes(before, await dump(host, pod)), [])
  await runAt(pod, ['ping', '-c1', '-W1', '10.88.0.1'])
})

test('heddle ADD tells standard input that cannot be read', async (t) => {
  const host = await bareHost(t, 'stdin')
  const pod = await podOn(host, 'c1')
  const closed = ['sh', '-c', 'exec "$0" "$@" </']
  const { code, json } = await runPlugin(pod, { command: 'ADD', conf: '', under: closed })
  t.is(code, 1)
  t.is(json.code, 5)
  t.regex(json.msg ?? '', /^error reading from stdin: /)
})

/** One call of the n-th of its kind fails, or the process is killed before it. */
function inject(call: string, n: number, fault: string): string[] {
  return ['strace', '-qq', '-o', '/dev/null', '-e', `inject=${call}:${fault}:when=${n}`]
}

const testWithTrace = testWith('strace')

/** An error for each call that changes something, and which of its calls in one ADD may have it. */
const faults: readonly { call: string; errno: string; numbers: readonly number[] }[] = [
  { call: 'sendto', errno: 'ENOBUFS', numbers: upTo(12) },
  { call: 'recvfrom', errno: 'ENOBUFS', numbers: upTo(36) },
  { call: 'write', errno: 'ENOSPC', numbers: upTo(20) },
  { call: 'rename', errno: 'EIO', numbers: upTo(2) },
  { call: 'link', errno: 'EIO', numbers: upTo(2) },
  { call: 'flock', errno: 'EIO', numbers: [1] },
  // The ways in. A way back that fails ends the process at once, since it would not know where it is.
  { call: 'setns', errno: 'EPERM', numbers: [1, 3] },
]

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

testWithTrace('heddle ADD leaves nothing behind whichever system call fails', async (t) => {
  const host = await usedHost(t, 'faults')
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  let failed = 0
  for (const { call, errno, numbers } of faults) {
    for (const number of numbers) {
      const under = inject(call, number, `error=${errno}`)
      const { code, json, stdout } = await runPlugin(pod, { command: 'ADD', conf, under })
      const where = `${call} number ${number}: ${stdout}`
      if (code !== 0) failed++
      if (code !== 0) t.is(typeof json.code, 'number', where)
      // It may do no harm: a setting that not every kernel has, or no such call any more.
      else await mustRun(t, pod, { command: 'DEL', conf })
      t.deepEqual(changes(before, await dump(host, pod)), [], where)
    }
  }
  t.log(`${failed} failures`)
  t.true(failed > 30)
})

testWithTrace('heddle DEL cleans up after an ADD that was killed anywhere', async (t) => {
  const host = await usedHost(t, 'killed')
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  let killed = 0
  for (const call of ['sendto', 'rename', 'link', 'write', 'setns', 'unlink']) {
    for (const number of upTo(40)) {
      const under = inject(call, number, 'signal=SIGKILL')
      const { code } = await runPlugin(pod, { command: 'ADD', conf, under })
      await mustRun(t, pod, { command: 'DEL', conf })
      t.deepEqual(changes(before, await dump(host, pod)), [], `${call} number ${number}`)
      if (code === 0) break
      killed++
    }
  }
  t.log(`${killed} kills`)
  t.true(killed > 20)
})

testWithTrace('heddle DEL cleans up after a DEL that was killed anywhere', async (t) => {
  const host = await usedHost(t, 'resumed')
  const pod = await podOn(host, 'c1')
  const before = await dump(host, pod)
  let killed = 0
  for (const call of ['sendto', 'rename', 'unlink', 'write', 'openat']) {
    for (const number of upTo(60)) {
      await mustRun(t, pod, { command: 'ADD', conf })
      const under = inject(call, number, 'signal=SIGKILL')
      const { code } = await runPlugin(pod, { command: 'DEL', conf, under })
      await mustRun(t, pod, { command: 'DEL', conf })
      t.deepEqual(changes(before, await dump(host, pod)), [], `${call} number ${number}`)
      if (code === 0) break
      killed++
    }
  }
  t.log(`${killed} kills`)
  t.true(killed > 20)
})
