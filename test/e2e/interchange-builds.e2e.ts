import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { Host } from '../../scripts/lab/lab.ts'
import { startPinging } from '../../scripts/lab/ping.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { testUnless, testWith } from './installed.ts'
import { buildPrevious } from './interchange-previous.ts'
import {
  addChain,
  type ConfList,
  chainOf,
  collectGarbage,
  debian,
  delChain,
  delOnly,
  difference,
  installOurs,
  missingChain,
  ours,
  type PluginSet,
  wanted,
} from './interchange-support.ts'
import { askAll, startEcho } from './runtimes-echo.ts'
import {
  busyboxTar,
  image,
  installOn,
  namespaceAt,
  ownPluginFolder,
  pluginFolder,
  podman,
  type Traces,
  tracesOn,
  writeOn,
} from './runtimes-support.ts'
import { hostsFor, nth } from './support.ts'

const previous: PluginSet = { title: 'the previous build', folder: '/run/lab/previous' }
const built = await buildPrevious()
const tree = 'tree' in built ? built.tree : ''
/** podman, and the plugins that it would use. */
const testWithBoth = testWith('podman', 'runc', 'conmon', 'busybox', '/usr/lib/cni/portmap')
const testPrevious = testUnless('reason' in built ? built.reason : undefined)

/** The reference's chain without published ports, which the previous build did not know. */
const bridgeOnly: ConfList = { ...chainOf(), plugins: chainOf().plugins.slice(0, 1) }

const heddleOnly: ConfList = {
  cniVersion: '1.0.0',
  name: 'swap',
  plugins: [
    {
      type: 'heddle',
      bridge: 'swap0',
      ipMasq: true,
      capabilities: { portMappings: true },
      ipam: { type: 'heddle-ipam', ranges: [[{ subnet: '10.83.0.0/24' }]] },
    },
  ],
}

/** A host with both builds; a container of each has come and gone. */
async function hostWithBoth(
  t: ExecutionContext,
  name: string,
  list: ConfList,
): Promise<[Host, Traces]> {
  const here = nth(await hostsFor(t, { name, count: 1 }), 0)
  await installOurs(here)
  await installOurs(here, tree, previous.folder)
  await delChain(await addChain(here, previous, { name: 'first', list }), previous)
  const options = { name: 'first', list, runtimeConfig: wanted }
  await delChain(await addChain(here, ours, options), ours)
  const before = await tracesOn(here)
  t.deepEqual(before.files, [])
  return [here, before]
}

for (const [list, called] of [
  [heddleOnly, 'heddle'],
  [bridgeOnly, 'bridge'],
] as const) {
  testPrevious(
    `under the name ${called}: each build detaches what the other attached`,
    async (t) => {
      const [here, before] = await hostWithBoth(t, `builds-${called}`, list)
      for (const [add, del] of [
        [previous, ours],
        [ours, previous],
      ] as const) {
        const attached = await addChain(here, add, { name: 'second', list })
        const during = await tracesOn(here)
        t.is(during.files.length, before.files.length + attached.result.ips.length + 1)
        t.notDeepEqual(difference(before.ruleset, during.ruleset), [])
        await delChain(attached, del)
        t.deepEqual(await tracesOn(here), before, `${add.title}, then ${del.title}`)
      }
    },
  )
}

testPrevious(
  `published ports, which the previous build does not know, go with the next GC when it detached`,
  async (t) => {
    const list = heddleOnly
    const [here, before] = await hostWithBoth(t, 'builds-ports', list)
    const attached = await addChain(here, ours, { name: 'second', list, runtimeConfig: wanted })
    const during = await tracesOn(here)
    await delChain({ ...attached, runtimeConfig: {} }, previous)
    const after = await tracesOn(here)
    t.deepEqual({ ...after, ruleset: [] }, { ...before, ruleset: [] })
    const left = difference(before.ruleset, after.ruleset)
    t.true(
      left.length > 0 &&
        left.every((line) => difference(before.ruleset, during.ruleset).includes(line)),
    )
    await collectGarbage(here, list, [])
    t.deepEqual(await tracesOn(here), before)
  },
)

testPrevious(
  `three containers of this build go by this build, the previous one and Debian's plugins`,
  async (t) => {
    const list = bridgeOnly
    const [here, before] = await hostWithBoth(t, 'builds-three', list)
    const add = (name: string) => addChain(here, ours, { name, list })
    const [first, second, third] = [await add('one'), await add('two'), await add('three')]
    const during = await tracesOn(here)
    await delChain(first, ours)
    await delChain(second, previous)
    await t.throwsAsync(delOnly(third, debian), { message: missingChain })
    await delChain(third, debian)
    const after = await tracesOn(here)
    t.deepEqual([after.links, after.routing], [before.links, before.routing])
    t.deepEqual(after.files, ['/run/heddle/attachments/swap/three-eth0.json'])
    t.true(during.files.length > after.files.length + 3)
    await collectGarbage(here, list, [])
    t.deepEqual((await tracesOn(here)).files, [])
  },
)

const alone = {
  cniVersion: '1.0.0',
  name: 'alone',
  plugins: [
    {
      type: 'heddle',
      bridge: 'alone0',
      ipMasq: true,
      ipam: { type: 'heddle-ipam', ranges: [[{ subnet: '10.85.1.0/24' }]] },
    },
  ],
}

testPrevious(
  `podman: a container stays reachable while the plugins are replaced, and the new ones detach it`,
  async (t) => {
    const here = nth(await hostsFor(t, { name: 'upgrade', count: 1 }), 0)
    await ownPluginFolder(here, [])
    await runAt(here, [
      join(tree, 'scripts/install'),
      '--cni-dir',
      pluginFolder,
      '--bin-dir',
      pluginFolder,
    ])
    writeOn(here, '/etc/cni/net.d/alone.conflist', alone)
    await podman(here, 'import', await busyboxTar(here.lab), image)
    const run = ['--network', 'alone', image, 'sleep', '1000']
    await podman(here, 'run', '--detach', '--name', 'stays', ...run)
    const before = await tracesOn(here)
    await podman(here, 'run', '--detach', '--name', 'web', ...run)

    const format = '{{.NetworkSettings.Networks.alone.IPAddress}}'
    const address = await podman(here, 'inspect', 'web', '--format', format)
    const logFile = join(here.lab.directory, 'ping.log')
    const pinging = startPinging(here, address, { intervalMs: 20, logFile })
    await installOn(here)
    await setTimeout(300)
    const { sent, lost } = await pinging.stop()
    t.true(sent > 10)
    t.is(lost, 0)
    await podman(here, 'rm', '--force', '--time', '0', 'web')
    const after = await tracesOn(here)
    t.deepEqual(
      [after.links, after.routing, after.files],
      [before.links, before.routing, before.files],
    )
    await podman(here, 'rm', '--force', '--time', '0', 'stays')
    t.deepEqual((await tracesOn(here)).files, [])
  },
)

testWithBoth(
  "podman: heddle takes over from Debian's plugins under a running container with published ports",
  async (t) => {
    const hosts = await hostsFor(t, { name: 'takeover', count: 2 })
    const [here, there] = [nth(hosts, 0), nth(hosts, 1)]
    await ownPluginFolder(here, ['bridge', 'portmap', 'host-local', 'firewall', 'tuning'])
    await podman(here, 'network', 'create', '--subnet', '10.85.2.0/24', 'taken')
    await podman(here, 'import', await busyboxTar(here.lab), image)
    const run = ['--network', 'taken', '-p', '8080:80', '-p', '5353:53/udp', image, 'sleep']
    await podman(here, 'run', '--rm', ...run, '0')
    const before = await tracesOn(here)
    await podman(here, 'run', '--detach', '--name', 'web', ...run, '1000')
    const inspect = ['inspect', 'web', '--format', '{{.NetworkSettings.SandboxKey}}']
    const container = namespaceAt(here, await podman(here, ...inspect))
    const echo = await startEcho(t, container, here.lab.directory)
    await installOn(here, { asFlannel: true })
    const answers = await askAll(there, [
      ['tcp', here.publicIP, 8080],
      ['udp', here.publicIP, 5353],
    ])
    t.deepEqual(Object.values(answers), [there.publicIP, there.publicIP])
    await echo.stop()
    await podman(here, 'rm', '--force', '--time', '0', 'web')
    t.deepEqual(await tracesOn(here), before)

    await podman(here, 'run', '--detach', '--name', 'next', ...run, '1000')
    await podman(here, 'rm', '--force', '--time', '0', 'next')
    t.deepEqual((await tracesOn(here)).files, [])
  },
)
