import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { hostFile } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { type Fake, type FakeAnswer, fakePlugin } from './fake.ts'
import {
  type Attachment,
  addNetworkList,
  checkNetworkList,
  delNetworkList,
  environment,
  gcNetworkList,
  type NetworkList,
  PluginError,
  type Runtime,
  statusNetworkList,
  supportedVersions,
  validateNetworkList,
} from './libcni.ts'
import { cnitool } from './reference.ts'
import { testPrograms } from './rows.ts'
import { attachmentOf, podsOf, runtimeOn } from './runtime.ts'
import { useHost } from './site.ts'
import { ourFolder, ourNames } from './subjects.ts'

const host = useHost(test, 'libcni')

function fake(answer: FakeAnswer): Fake {
  return fakePlugin({ host: host(), number: 0, subject: { maker: 'heddle' } }, answer)
}

/** A runtime that finds fakes, and ours. */
function runtimeWith(...fakes: readonly Fake[]): Runtime {
  return runtimeOn(host(), { path: [...fakes.map(({ folder }) => folder), ourFolder] })
}

/** What a fake was asked, as far as libcni decides it. */
function asked({ seen }: Fake): object[] {
  return seen().map(({ command, stdin, env }) => ({
    command,
    stdin,
    env: env.split('\n').filter((line) => /^export CNI_(?!PATH)/.test(line)),
  }))
}

const tool = cnitool()
const why = 'missing' in tool ? `: not tried, ${tool.missing}` : ''

/** Keys out of order at every depth, and characters that Go writes in its own way. */
const first = {
  zebra: { b: 1, a: [{ d: 4_294_967_295, c: '<a & b>' }] },
  capabilities: { portMappings: true, ips: false, mac: true },
  args: { cni: { labels: [] } },
}
const answers = [
  {
    interfaces: [{ sandbox: '/x', name: 'eth0', mac: '0a:00:00:00:00:01', mtu: 1400, vendor: 1 }],
    extra: true,
  },
  {
    routes: [{ gw: '10.9.0.1', dst: '0.0.0.0/0', mtu: 1300, table: 0 }],
    ips: [{ gateway: '10.9.0.1', address: '10.9.0.2/24', interface: 0 }],
    interfaces: [{ name: 'eth0', mac: '0a:00:00:00:00:01', sandbox: '/x' }],
    dns: { search: ['a.b'], nameservers: ['10.9.0.1'] },
  },
]
const capabilityArgs = {
  portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
  ips: ['10.9.0.9/24'],
  aliases: ['web'],
}

for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
  const define = 'missing' in tool ? test.skip : test
  define(`L8: the harness calls plugins as cnitool 1.3.0 does, ${cniVersion}${why}`, async (t) => {
    const pod = await podsOf(t, host())(`same${cniVersion.replaceAll('.', '')}`)
    const family = cniVersion < '1.0.0' ? { version: '4' } : {}
    const made = answers.map((answer) => ({
      cniVersion,
      ...answer,
      ...('ips' in answer ? { ips: answer.ips?.map((ip) => ({ ...ip, ...family })) } : {}),
    }))
    const run = async (
      drive: (list: NetworkList, fakes: readonly Fake[], id: string) => Promise<unknown>,
      id = '',
    ) => {
      const fakes = made.map((answer) => fake({ stdout: JSON.stringify(answer) }))
      const plugins = fakes.map(({ type }, i) => (i === 0 ? { ...first, type } : { type }))
      await drive({ name: 'same', cniVersion, plugins }, fakes, id)
      return fakes.map((one) =>
        asked(one).map(
          (call) =>
            JSON.parse(JSON.stringify(call).replaceAll(one.type, 'FAKE')) as { env: string[] },
        ),
      )
    }
    const theirs = await run((list, fakes) => driveTool(t, list, fakes, pod.path))
    const id = /CNI_CONTAINERID='(.*)'/.exec(theirs[0]?.[0]?.env.join('\n') ?? '')?.[1] ?? ''
    const ours = await run((list, fakes) => {
      const attachment = {
        containerId: id,
        netns: pod.path,
        ifname: 'eth0',
        args: pairs,
        capabilityArgs,
      }
      return drive(runtimeWith(...fakes), list, attachment)
    })
    t.deepEqual(ours, theirs)
  })
}

const pairs = [
  ['IgnoreUnknown', '1'],
  ['K8S_POD_NAME', 'a'],
] as const

/** The calls that are compared; a second ADD leaves something for GC to DEL. */
async function drive(runtime: Runtime, list: NetworkList, attachment: Attachment): Promise<void> {
  await addNetworkList(runtime, list, attachment)
  await checkNetworkList(runtime, list, attachment).catch(() => undefined)
  await delNetworkList(runtime, list, attachment)
  await statusNetworkList(runtime, list)
  await addNetworkList(runtime, list, attachment)
  await gcNetworkList(runtime, list)
}

async function driveTool(
  t: ExecutionContext,
  list: NetworkList,
  fakes: readonly Fake[],
  netns: string,
) {
  if ('missing' in tool) return
  const folder = '/etc/cni/same'
  mkdirSync(hostFile(host(), folder), { recursive: true })
  writeFileSync(hostFile(host(), `${folder}/10-same.conflist`), JSON.stringify(list))
  const env = {
    CNI_PATH: fakes.map((one) => one.folder).join(':'),
    NETCONFPATH: folder,
    CAP_ARGS: JSON.stringify(capabilityArgs),
    CNI_ARGS: pairs.map((pair) => pair.join('=')).join(';'),
  }
  for (const verb of ['add', 'check', 'del', 'status', 'add', 'gc']) {
    const { code, stderr } = await attemptAt(
      host(),
      [join(tool.folder, 'cnitool'), verb, 'same', netns],
      { env },
    )
    if (verb !== 'check' || list.cniVersion >= '0.4.0') t.is(code, 0, `${verb}: ${stderr}`)
  }
}

test('L8: ADD, CHECK, GC and STATUS go forward, DEL goes back, each with the result it ought to have', async (t) => {
  const pod = await podsOf(t, host())('order')
  for (const cniVersion of ['0.3.1', '1.1.0']) {
    const order: string[] = []
    const [one, two] = answers.map((answer) =>
      fake({ stdout: JSON.stringify({ cniVersion, ...answer }) }),
    )
    if (!one || !two) throw new RangeError('Two answers make two fakes')
    const runtime = runtimeWith(one, two)
    const watched: Runtime = {
      ...runtime,
      execute: (where, execution) => {
        const { prevResult } = JSON.parse(execution.stdin as string) as {
          prevResult?: { ips?: object[] }
        }
        const before =
          prevResult === undefined ? 'nothing' : prevResult.ips ? 'the last' : 'the first'
        const plugin = execution.path.endsWith(one.type) ? 'one' : 'two'
        order.push(`${execution.env['CNI_COMMAND']} ${plugin} with ${before}`)
        return runtime.execute(where, execution)
      },
    }
    const list = { name: 'order', cniVersion, plugins: [{ type: one.type }, { type: two.type }] }
    const attachment = attachmentOf(pod)
    await addNetworkList(watched, list, attachment)
    if (cniVersion === '1.1.0') {
      await checkNetworkList(watched, list, attachment)
      await statusNetworkList(watched, list)
      await gcNetworkList(watched, list, [{ containerID: attachment.containerId, ifname: 'eth0' }])
    }
    await delNetworkList(watched, list, attachment)
    const known = cniVersion === '1.1.0' ? 'the last' : 'nothing'
    t.deepEqual(order, [
      'ADD one with nothing',
      'ADD two with the first',
      ...(cniVersion === '1.1.0'
        ? [
            'CHECK one with the last',
            'CHECK two with the last',
            'STATUS one with nothing',
            'STATUS two with nothing',
            'GC one with nothing',
            'GC two with nothing',
          ]
        : []),
      `DEL two with ${known}`,
      `DEL one with ${known}`,
    ])
  }
})

test('L7: a plugin that is being written is tried again', async (t) => {
  const folder = '/run/lab/busy'
  mkdirSync(hostFile(host(), folder))
  const file = hostFile(host(), `${folder}/heddle`)
  copyFileSync(join(dist, 'heddle'), file)
  const writing = openSync(file, 'a')
  t.is((await attemptAt(host(), [`${folder}/heddle`])).code, 126)
  const runtime = runtimeOn(host(), { path: [folder] })
  const asking = supportedVersions(runtime, 'heddle')
  setTimeout(() => closeSync(writing), 300)
  t.true((await asking).includes('1.1.0'))
})

test('L7: scripts/install puts a new file in the place of the old one, which goes on running', async (t) => {
  const folder = `${host().lab.directory}/installed`
  const install = [
    join(dist, '../scripts/install'),
    '--cni-dir',
    folder,
    '--bin-dir',
    folder,
  ] as const
  await runAt(host(), [...install])
  // As a program that runs, it cannot be written to: only replaced.
  const attachment = { containerId: 'c', netns: '/run/netns/none', ifname: 'eth0' }
  const running = attemptAt(host(), ['sh', '-c', `sleep 1 | ${folder}/heddle-ipam`], {
    env: environment({ env: {} }, 'ADD', attachment, folder),
  })
  await new Promise((resolve) => setTimeout(resolve, 300))
  await runAt(host(), [...install])
  const versions = await supportedVersions(runtimeOn(host(), { path: [folder] }), 'heddle')
  t.true(versions.includes('1.1.0'))
  // It waited for its configuration, and got none.
  t.is((await running).code, 1)
})

test('R7: what a plugin leaves out of its result is made good, and null is no result', async (t) => {
  const pod = await podsOf(t, host())('tolerant')
  const nothing = fake({ stdout: 'null' })
  const list = (type: string) => ({ name: 'tolerant', cniVersion: '1.0.0', plugins: [{ type }] })
  const result = await addNetworkList(runtimeWith(nothing), list(nothing.type), attachmentOf(pod))
  t.deepEqual(result, { cniVersion: '1.0.0' })
  const odd = fake({ stdout: '{"ips":[{"address":"10.0.0.300/24"}]}' })
  await t.throwsAsync(addNetworkList(runtimeWith(odd), list(odd.type), attachmentOf(pod)))
})

test('V1: every plugin of ours speaks the version of every list, by the probe that libcni sends', async (t) => {
  const runtime = runtimeOn(host())
  for (const cniVersion of ['0.1.0', '0.4.0', '1.1.0']) {
    const plugins = ourNames.map((type) => ({
      type,
      capabilities: { portMappings: true, dns: false },
    }))
    t.deepEqual(await validateNetworkList(runtime, { name: 'all', cniVersion, plugins }), [
      'portMappings',
    ])
  }
  const plugins = [{ type: 'heddle' }]
  const newer = validateNetworkList(runtime, { name: 'all', cniVersion: '2.0.0', plugins })
  await t.throwsAsync(newer, {
    instanceOf: PluginError,
    message: /does not support config version/,
  })
})

testPrograms(test)
