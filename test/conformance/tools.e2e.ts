import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { attemptAt } from '../../scripts/lab/place.ts'
import { referenceFolder } from '../e2e/cni-support.ts'
import { openCase } from './case.ts'
import { executeAlone } from './exec.ts'
import {
  addNetworkList,
  checkNetworkList,
  delNetworkList,
  gcNetworkList,
  type Runtime,
  statusNetworkList,
} from './libcni.ts'
import { testPrograms } from './rows.ts'
import { attachmentOf, podsOf, runtimeOn } from './runtime.ts'
import { useHost } from './site.ts'
import { differences, readState } from './state.ts'
import { type Subject, subjects } from './subjects.ts'

const host = useHost(test, 'tools')

/** Covers /usr/sbin, and the tools of the network elsewhere, for the program that follows. */
const hide = [
  '/usr/bin/unshare',
  '--mount',
  '--propagation',
  'private',
  '/bin/sh',
  '-c',
  `/bin/mount -t tmpfs none /usr/sbin
for name in ip nft iptables ip6tables iptables-nft tc bridge conntrack sysctl modprobe; do
  for folder in /sbin /bin /usr/bin /usr/local/bin /usr/local/sbin; do
    [ ! -e $folder/$name ] || /bin/mount --bind /dev/null $folder/$name
  done
done
exec "$@"`,
  'sh',
]

/** A runtime on a host that has no tools, and whose PATH is empty. */
function bareRuntime(): Runtime {
  return runtimeOn(host(), {
    env: { PATH: '' },
    execute: (where, execution) => executeAlone(where, { ...execution, under: hide }),
  })
}

test('ADD, CHECK, STATUS, GC and DEL need no program on the host', async (t) => {
  for (const name of ['ip', 'nft', 'iptables', 'tc']) {
    const command = [...hide, `/usr/sbin/${name}`, '-V'] as unknown as [string]
    const { code } = await attemptAt(host(), command)
    t.true(code === 126 || code === 127, `${name} is hidden`)
  }
  const pods = podsOf(t, host())
  const capabilities = { portMappings: true, bandwidth: true }
  const ranges = [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]]
  const plugin = { type: 'heddle', bridge: 'tools0', ipMasq: true, capabilities, ipam: { ranges } }
  const list = { name: 'tools', cniVersion: '1.1.0', plugins: [plugin] }
  const capabilityArgs = {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'udp' }],
    bandwidth: {
      ingressRate: 8_000_000,
      ingressBurst: 80_000,
      egressRate: 8_000_000,
      egressBurst: 80_000,
    },
  }
  const runtime = bareRuntime()
  const loopback = { ...list, name: 'lo', plugins: [{ type: 'loopback' }] }
  const first = { portMappings: [{ hostPort: 8081, containerPort: 80, protocol: 'udp' }] }
  await addNetworkList(runtime, list, attachmentOf(await pods('first'), { capabilityArgs: first }))
  const before = await readState(host())
  const [one, two] = [await pods('one'), await pods('two')]
  for (const pod of [one, two]) {
    await addNetworkList(runtime, loopback, attachmentOf(pod, { ifname: 'lo' }))
    const ports = pod === one ? capabilityArgs : {}
    await addNetworkList(runtime, list, attachmentOf(pod, { capabilityArgs: ports }))
    await checkNetworkList(runtime, list, attachmentOf(pod, { capabilityArgs: ports }))
  }
  await statusNetworkList(runtime, list)
  await delNetworkList(runtime, loopback, attachmentOf(one, { ifname: 'lo' }))
  await delNetworkList(runtime, list, attachmentOf(one, { capabilityArgs }))
  await gcNetworkList(runtime, list, [{ containerID: 'first', ifname: 'eth0' }])
  t.deepEqual(differences(before, await readState(host())), [])
})

/** Whether a link of a kind can be made here; tried in a namespace of its own. */
function canMake(...words: readonly string[]): boolean {
  const script = `ip link set lo up; ip link add base type veth peer name other && ip link add ${words.join(' ')}`
  return spawnSync('unshare', ['--net', 'sh', '-c', script], { stdio: 'ignore' }).status === 0
}

const lacks: Readonly<Record<string, string | undefined>> = {
  vlan: canMake('link base name probe type vlan id 5')
    ? undefined
    : 'this kernel has no VLAN links',
  'bridge with VLANs': canMake('probe type bridge vlan_filtering 1')
    ? undefined
    : 'this kernel has no VLAN filtering in bridges',
  ipvlan: canMake('link base name probe type ipvlan')
    ? undefined
    : 'this kernel has no ipvlan links',
  dummy: canMake('probe type dummy') ? undefined : 'this kernel has no dummy links',
}

/** Upstream's cases that a kernel may lack the means for, on the reference plugins; ours says no in any case. */
const special: Readonly<Record<string, { plugin: string; conf: (link: string) => object }>> = {
  vlan: { plugin: 'vlan', conf: (master) => ({ type: 'vlan', master, vlanId: 5 }) },
  'bridge with VLANs': {
    plugin: 'bridge',
    conf: () => ({ type: 'bridge', bridge: 'tagged0', vlan: 100 }),
  },
  ipvlan: { plugin: 'ipvlan', conf: (master) => ({ type: 'ipvlan', master }) },
  dummy: { plugin: 'dummy', conf: () => ({ type: 'dummy' }) },
}

for (const [kind, { plugin, conf }] of Object.entries(special)) {
  const isThere = existsSync(join(referenceFolder, plugin))
  const why = lacks[kind] ?? (isThere ? undefined : `Debian has no ${plugin} plugin`)
  const define = why === undefined ? test : test.skip
  define(
    `upstream: ${kind} by the reference plugin${why === undefined ? '' : `: not tried, ${why}`}`,
    async (t) => {
      const subject: Subject = { title: kind, maker: 'Debian', plugin, kind: 'network' }
      const c = openCase(t, host(), subject)
      const ipam = { type: 'host-local', ranges: [[{ subnet: c.subnet }]] }
      const stdin = JSON.stringify({ cniVersion: '1.0.0', name: c.network, ...conf('eth0'), ipam })
      t.is(await c.say({ command: 'ADD', pod: await c.pod(), stdin }), 'result')
    },
  )
}

test('upstream: VLANs and other kinds of links are refused with the key and its value', async (t) => {
  const ours = (title: string) => {
    const subject = subjects.find((one) => one.title === title)
    if (!subject) throw new RangeError(title)
    return openCase(t, host(), subject)
  }
  const bridge = ours('heddle as bridge')
  const refusals = {
    'vlan 100': { vlan: 100 },
    'vlanTrunk 101': { vlanTrunk: [{ id: 101 }] },
    macspoofchk: { macspoofchk: true },
  }
  for (const [title, conf] of Object.entries(refusals)) {
    const said = (await bridge.say({
      command: 'ADD',
      pod: await bridge.pod(title.slice(0, 3) + title.length),
      conf,
    })) as {
      code: number
      msg: string
    }
    t.is(said.code, 2, title)
    t.regex(said.msg, new RegExp(Object.keys(conf)[0] ?? ''))
  }
  const heddle = ours('heddle')
  for (const mode of ['ipvlan', 'vlan', 'dummy']) {
    const said = (await heddle.say({
      command: 'ADD',
      pod: await heddle.pod(mode),
      conf: { mode },
    })) as { code: number; msg: string }
    t.is(said.code, 2)
    t.regex(said.msg, new RegExp(mode))
  }
})

testPrograms(test)
