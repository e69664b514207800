import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { addPod, deletePod, type Host } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import type { Outcome } from '../../scripts/lab/run.ts'
import { ipJson } from './cni-support.ts'
import { testUnless } from './installed.ts'
import { askAll, startEcho } from './runtimes-echo.ts'
import { goInstall } from './runtimes-go.ts'
import { installOn, tracesOn, writeOn } from './runtimes-support.ts'
import { hostsFor, nth } from './support.ts'

/** libcni's own client; the only one that can be had for version 1.1.0 of the specification. */
const version = 'v1.3.0'
const built = await goInstall(`github.com/containernetworking/cni/cnitool@${version}`)
const testCnitool = testUnless('reason' in built ? built.reason : undefined)
const cnitool = 'folder' in built ? join(built.folder, 'cnitool') : ''

const plugins = '/run/lab/plugins'
const capabilities = { portMappings: true, ips: true, mac: true, bandwidth: true }

const list = {
  cniVersion: '1.1.0',
  name: 'tool',
  plugins: [
    {
      type: 'heddle',
      bridge: 'tool0',
      ipMasq: true,
      capabilities,
      ipam: { type: 'heddle-ipam', ranges: [[{ subnet: '10.86.1.0/24' }]] },
    },
  ],
}

const data = {
  ips: ['10.86.1.77/24'],
  mac: '0a:58:00:00:00:77',
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
  bandwidth: {
    ingressRate: 80_000_000,
    ingressBurst: 8_000_000,
    egressRate: 80_000_000,
    egressBurst: 8_000_000,
  },
}

/** Runs cnitool for a namespace, whatever comes of it. */
function tool(host: Host, verb: string, netns: string, options: object = {}): Promise<Outcome> {
  const paths = { CNI_PATH: plugins, NETCONFPATH: '/etc/cni/net.d' }
  const env = { ...paths, CAP_ARGS: JSON.stringify(options) }
  return attemptAt(host, [cnitool, verb, 'tool', netns], { env })
}

async function toolHosts(t: ExecutionContext, name: string): Promise<[Host, Host]> {
  const hosts = await hostsFor(t, { name, count: 2 })
  const here = nth(hosts, 0)
  await installOn(here, { folder: plugins })
  writeOn(here, '/etc/cni/net.d/10-tool.conflist', list)
  const pod = await addPod(here, 'first')
  printed(t, await tool(here, 'add', pod.path, data))
  printed(t, await tool(here, 'del', pod.path, data))
  await deletePod(pod)
  return [here, nth(hosts, 1)]
}

/** What a run printed that must have succeeded. */
function printed(t: ExecutionContext, { code, stdout, stderr }: Outcome): string {
  t.is(code, 0, stdout + stderr)
  return stdout
}

testCnitool(
  `cnitool ${version}: add with every capability, check, status and two dels`,
  async (t) => {
    const [here, there] = await toolHosts(t, 'tool')
    const before = await tracesOn(here)
    t.is((await tool(here, 'status', '')).code, 0)
    const pod = await addPod(here, 'a')
    const result = JSON.parse(printed(t, await tool(here, 'add', pod.path, data))) as {
      cniVersion: string
      ips: { address: string }[]
    }
    t.is(result.cniVersion, '1.1.0')
    t.deepEqual(
      result.ips.map(({ address }) => address),
      data.ips,
    )
    const [link] = await ipJson<{ address: string }>(pod, 'link', 'show', 'eth0')
    t.is(link?.address, data.mac)
    const echo = await startEcho(t, pod, here.lab.directory)
    const answers = await askAll(there, [['tcp', here.publicIP, 8080]])
    t.deepEqual(Object.values(answers), [there.publicIP])
    await echo.stop()

    printed(t, await tool(here, 'check', pod.path, data))
    await runAt(pod, ['ip', 'route', 'flush', 'default'])
    const { code, stderr } = await tool(here, 'check', pod.path, data)
    t.not(code, 0)
    t.regex(stderr, /route/i)

    printed(t, await tool(here, 'del', pod.path, data))
    t.deepEqual(await tracesOn(here), before)
    printed(t, await tool(here, 'del', pod.path, data))
    t.deepEqual(await tracesOn(here), before)
  },
)

testCnitool(
  `cnitool ${version}: gc, which names no container to keep, detaches them all`,
  async (t) => {
    const [here] = await toolHosts(t, 'tool-gc')
    const before = await tracesOn(here)
    const [lost, other] = [await addPod(here, 'lost'), await addPod(here, 'other')]
    printed(t, await tool(here, 'add', lost.path, data))
    printed(t, await tool(here, 'add', other.path))
    await deletePod(lost)
    printed(t, await tool(here, 'gc', ''))
    t.deepEqual(await tracesOn(here), before)
  },
)
