import { readFileSync } from 'node:fs'
import test from 'ava'
import { type LoaderName, type Loaders, type Role, unloaded } from '../../cni/call.ts'
import { type CniEdges, runCni } from '../../cni/main.ts'
import { attaching } from '../../cni/parts/attaching.ts'
import { branching } from '../../cni/parts/branching.ts'
import { cleaning } from '../../cni/parts/cleaning.ts'
import { collecting } from '../../cni/parts/collecting.ts'
import { featuring } from '../../cni/parts/featuring.ts'
import { inspecting } from '../../cni/parts/inspecting.ts'
import { readying } from '../../cni/parts/readying.ts'
import { silent } from '../../log/logger.ts'

interface Answer {
  readonly code: number | LoaderName
  readonly stdout: string
  readonly stderr: string
}

interface Run {
  readonly role?: Role
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string | (() => string)
}

function unused(): never {
  throw new Error('nothing of the kernel is needed here')
}

const load: Loaders = {
  ...unloaded,
  ...attaching,
  ...branching,
  ...cleaning,
  ...collecting,
  ...featuring,
  ...inspecting,
  ...readying,
}

/** None of these runs may come as far as the kernel. */
const edges: CniEdges = {
  openNetlink: unused,
  openNetns: unused,
  currentNetns: unused,
  inNetns: unused,
  lock: unused,
  sleep: unused,
  sha512Hex: unused,
  load,
  log: silent,
  version: '1.2.3',
}

function run({ role = 'bridge', env = {}, stdin = '' }: Run, changed = edges): Answer {
  let stdout = ''
  let stderr = ''
  const io = {
    env,
    readStdin: () => (typeof stdin === 'string' ? stdin : stdin()),
    writeStdout: (text: string) => {
      stdout += text
    },
    writeStderr: (text: string) => {
      stderr += text
    },
  }
  const code = runCni(role, io, changed)
  return { code, stdout, stderr }
}

const complete = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/usr/lib/cni',
}

test('runCni without a command says what it is on standard error alone', (t) => {
  t.deepEqual(run({ role: 'heddle', env: complete, stdin: unused }), {
    code: 0,
    stdout: '',
    stderr:
      'CNI heddle plugin v1.2.3\n' +
      'CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n',
  })
})

for (const role of ['heddle', 'flannel', 'bridge', 'loopback', 'portmap', 'bandwidth'] as const) {
  test(`runCni answers VERSION as ${role} without reading standard input`, (t) => {
    const env = { CNI_COMMAND: 'VERSION', CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_PATH: 'dummy' }
    const { code, stdout } = run({ role, env, stdin: unused })
    t.is(code, 0)
    t.is(JSON.parse(stdout).supportedVersions.length, 7)
  })
}

const named = (more: object = {}) => JSON.stringify({ cniVersion: '1.0.0', name: 'n', ...more })
const add = { ...complete, CNI_COMMAND: 'ADD' }

interface Refusal extends Run {
  readonly title: string
  readonly code: number
  readonly msg: string | RegExp
  readonly details?: string
}

const refusals: readonly Refusal[] = [
  {
    title: 'an ADD without variables before it reads anything',
    env: { CNI_COMMAND: 'ADD' },
    stdin: unused,
    code: 4,
    msg: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
  },
  {
    title: 'an unknown command',
    env: { CNI_COMMAND: 'FOO' },
    stdin: named(),
    code: 4,
    msg: 'unknown CNI_COMMAND: FOO',
  },
  {
    title: 'a command in small letters',
    env: { ...add, CNI_COMMAND: 'add' },
    stdin: named(),
    code: 4,
    msg: 'unknown CNI_COMMAND: add',
  },
  {
    title: 'a bad configuration before an unknown command',
    env: { CNI_COMMAND: 'FOO' },
    stdin: '{}',
    code: 7,
    msg: 'missing network name',
  },
  {
    title: 'standard input that cannot be read',
    env: add,
    stdin: () => {
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' })
    },
    code: 5,
    msg: 'error reading from stdin: read: i/o error',
  },
  {
    title: 'no configuration',
    env: add,
    stdin: '',
    code: 6,
    msg: /^error unmarshall network config: /,
  },
  {
    title: 'half a configuration',
    env: add,
    stdin: '{',
    code: 6,
    msg: /^error unmarshall network/,
  },
  { title: 'a list', env: add, stdin: '[]', code: 6, msg: /^error unmarshall network config: / },
  {
    title: 'a version that is no text',
    env: add,
    stdin: '{"name":"n","cniVersion":1}',
    code: 6,
    msg: /^decoding version from network config: /,
  },
  {
    title: 'a network without a name',
    env: add,
    stdin: '{"cniVersion":"1.0.0"}',
    code: 7,
    msg: 'missing network name',
  },
  ...['a/b', '-a', '..'].map((name) => ({
    title: `network name ${name}`,
    env: add,
    stdin: JSON.stringify({ name }),
    code: 7,
    msg: 'invalid characters found in network name',
    details: name,
  })),
  ...['ADD', 'DEL'].map((CNI_COMMAND) => ({
    title: `${CNI_COMMAND} in a version to come`,
    env: { ...add, CNI_COMMAND },
    stdin: named({ cniVersion: '9.9.9' }),
    code: 1,
    msg: 'incompatible CNI versions',
    details:
      'config is "9.9.9", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
  })),
  {
    title: 'CHECK in a version before it',
    env: { ...add, CNI_COMMAND: 'CHECK' },
    stdin: named({ cniVersion: '0.3.1' }),
    code: 1,
    msg: 'config version does not allow CHECK',
  },
  {
    title: 'CHECK in what is no version',
    env: { ...add, CNI_COMMAND: 'CHECK' },
    stdin: named({ cniVersion: 'foo' }),
    code: 6,
    msg: /foo/,
  },
  ...['GC', 'STATUS'].map((CNI_COMMAND) => ({
    title: `${CNI_COMMAND} in a version before it`,
    env: { CNI_COMMAND, CNI_PATH: '/x', CNI_CONTAINERID: '', CNI_IFNAME: '' },
    stdin: named(),
    code: 1,
    msg: `config version does not allow ${CNI_COMMAND}`,
  })),
  {
    title: 'CHECK without the result',
    env: { ...add, CNI_COMMAND: 'CHECK' },
    stdin: named(),
    code: 7,
    msg: 'Required prevResult missing',
  },
  {
    title: 'unknown CNI_ARGS',
    env: { ...add, CNI_ARGS: 'FOO=1' },
    stdin: named(),
    code: 4,
    msg: 'ARGS: unknown args ["FOO=1"]',
  },
  {
    title: 'a key it does not implement',
    env: add,
    stdin: named({ vlan: 7 }),
    code: 2,
    msg: /"vlan" with value 7/,
  },
  {
    title: 'a port that is none, before anything is done',
    role: 'heddle',
    env: add,
    stdin: named({
      ipam: { subnet: '10.0.0.0/24' },
      runtimeConfig: { PortMappings: [{ HostPort: 0, ContainerPort: 80, Protocol: 'tcp' }] },
    }),
    code: 7,
    msg: 'Invalid host port number: 0',
  },
  {
    title: 'a burst without a rate, before anything is done',
    role: 'heddle',
    env: add,
    stdin: named({
      ipam: { subnet: '10.0.0.0/24' },
      runtimeConfig: { bandWidth: { IngressBurst: 16_000 } },
    }),
    code: 7,
    msg: 'if burst is set, rate must also be set',
  },
  ...(['portmap', 'bandwidth'] as const).map((role) => ({
    title: `to be ${role} at the head of a chain`,
    role,
    env: add,
    stdin: named(),
    code: 7,
    msg: 'must be called as chained plugin',
  })),
  {
    title: 'to be chained after nothing',
    role: 'heddle',
    env: add,
    stdin: named({ chained: true }),
    code: 7,
    msg: 'must be called as chained plugin',
  },
  {
    title: 'a result of another family than its version',
    role: 'portmap',
    env: add,
    stdin: named({ cniVersion: '0.4.0', prevResult: { cniVersion: '1.0.0' } }),
    code: 6,
    msg: 'could not parse prevResult: result type supports [0.3.0 0.3.1 0.4.0] but unmarshalled CNIVersion is "1.0.0"',
  },
  {
    title: 'a backend of port mappings that it has not',
    role: 'portmap',
    env: add,
    stdin: named({ backend: 'iptables' }),
    code: 2,
    msg: /"backend" with value "iptables"/,
  },
  {
    title: "CHECK of ports without their attachment's result",
    role: 'portmap',
    env: { ...add, CNI_COMMAND: 'CHECK' },
    stdin: named(),
    code: 7,
    msg: 'Required prevResult missing',
  },
  {
    title: 'STATUS of a configuration that no ADD would take',
    role: 'portmap',
    env: { CNI_COMMAND: 'STATUS', CNI_PATH: '/x' },
    stdin: named({ cniVersion: '1.1.0', conditionsV4: ['-i', 'eth0'] }),
    code: 2,
    msg: /"conditionsV4"/,
  },
  {
    title: 'a range beside a subnet file',
    role: 'heddle',
    env: add,
    stdin: named({ subnetFile: '/x', ipam: { subnet: '10.0.0.0/24' } }),
    code: 7,
    msg: /cannot both be set/,
  },
  {
    title: 'a link without addresses in a version that has no form for it',
    env: add,
    stdin: named({ cniVersion: '0.2.0' }),
    code: 7,
    msg: 'cannot convert: no valid IP addresses',
  },
]
for (const { title, code, msg, details, ...how } of refusals) {
  test(`runCni refuses ${title}`, (t) => {
    const answer = run(how)
    t.is(answer.code, 1)
    t.is(answer.stderr, '')
    const error = JSON.parse(answer.stdout)
    t.is(error.code, code)
    if (typeof msg === 'string') t.is(error.msg, msg)
    else t.regex(error.msg, msg)
    if (details !== undefined) t.is(error.details, details)
  })
}

test('runCni tells a bug with its place, also on standard error', (t) => {
  const logged: string[] = []
  const log = { ...silent, error: (message: string) => void logged.push(message) }
  let stdout = ''
  const io = {
    env: add,
    readStdin: () => named(),
    writeStdout: (text: string) => {
      stdout += text
    },
    writeStderr: unused,
  }
  t.is(runCni('bridge', io, { ...edges, log }), 1)
  const { code, msg, details } = JSON.parse(stdout)
  t.deepEqual({ code, msg }, { code: 999, msg: 'nothing of the kernel is needed here' })
  t.regex(details, /cni-main\.test/)
  t.deepEqual(logged, [msg])
})

test('runCni says of a missing subnet file what callers of flannel look for', (t) => {
  const waits: number[] = []
  const sleep = (milliseconds: number) => void waits.push(milliseconds)
  let stdout = ''
  const io = {
    env: add,
    readStdin: () => named({ subnetFile: '/none/subnet.env' }),
    writeStdout: (text: string) => {
      stdout += text
    },
    writeStderr: unused,
  }
  t.is(runCni('flannel', io, { ...edges, sleep }), 1)
  const { code, msg } = JSON.parse(stdout)
  t.is(code, 11)
  t.true(
    msg.startsWith(
      "failed to load flannel 'subnet.env' file: open /none/subnet.env: no such file or directory",
    ),
  )
  t.is(
    waits.reduce((sum, ms) => sum + ms, 0),
    2000,
  )
})

for (const role of ['portmap', 'bandwidth'] as const) {
  test(`${role} prints the result before it with all it holds when nothing is asked of it`, (t) => {
    const prevResult = { cniVersion: '0.3.1', ips: [], mtu: 9, custom: { kept: true } }
    const stdin = named({ cniVersion: '0.4.0', prevResult })
    // Only that it is not its own namespace matters, and one that is gone is not.
    const openNetns = () => {
      throw Object.assign(new Error('gone'), { name: 'NetnsError', gone: true })
    }
    const { code, stdout } = run({ role, env: add, stdin }, { ...edges, openNetns })
    t.is(code, 0)
    t.deepEqual(JSON.parse(stdout), { ...prevResult, cniVersion: '0.4.0' })
  })
}

test('GC without a list, or with disableGC, does nothing', (t) => {
  const env = { CNI_COMMAND: 'GC', CNI_PATH: '/x', CNI_CONTAINERID: '', CNI_IFNAME: '' }
  for (const more of [{}, { 'cni.dev/valid-attachments': [], disableGC: true }]) {
    const stdin = named({ cniVersion: '1.1.0', ...more })
    t.deepEqual(run({ env, stdin }), { code: 0, stdout: '', stderr: '' })
  }
})

test('runCni names the code it lacks, and has printed nothing then', (t) => {
  const bare = { ...edges, load: { ...unloaded, ...attaching } }
  const check = { ...add, CNI_COMMAND: 'CHECK' }
  t.deepEqual(run({ env: check, stdin: named() }, bare), { code: 'check', stdout: '', stderr: '' })
  const published = named({
    ipam: { subnet: '10.0.0.0/24' },
    runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80 }] },
  })
  const outcome = run({ role: 'heddle', env: add, stdin: published }, bare)
  t.deepEqual(outcome, { code: 'features', stdout: '', stderr: '' })
})

test('what is loaded later imports what is loaded at once, so that the two share one piece', (t) => {
  const entry = readFileSync(new URL('../../heddle.ts', import.meta.url), 'utf8')
  const later = [...entry.matchAll(/import\('(\.\/cni\/[\w/-]+\.ts)'\)/g)].map(([, path]) => path)
  t.true(later.length > 1)
  for (const path of later) {
    const text = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
    t.true(text.startsWith("import './attaching.ts'\n"), path)
  }
})
