import { readFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { addPod, deletePod, type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { oursThenReference, referenceThenOurs, vanishedThenOurs } from './interchange-directions.ts'
import {
  chainOf,
  collectGarbage,
  debian,
  difference,
  installOurs,
  missingChain,
  ours,
  type PluginSet,
  runPluginFile,
} from './interchange-support.ts'
import { type Traces, tracesOn, writeOn } from './runtimes-support.ts'
import { hostsFor, nth } from './support.ts'

const swap = { reference: debian, list: chainOf() }

test("bridge, portmap, bandwidth and host-local: what Debian's plugins attached, heddle detaches", (t) =>
  referenceThenOurs(t, { ...swap, name: 'debian' }))

test("bridge, portmap, bandwidth and host-local: what Debian's plugins attached in a namespace that is gone, heddle detaches", (t) =>
  vanishedThenOurs(t, { ...swap, name: 'debian' }))

test("bridge, portmap, bandwidth and host-local: what heddle attached, Debian's plugins detach but for its firewall elements", (t) =>
  oursThenReference(t, { ...swap, name: 'debian', complaint: missingChain }))

/** The plugin of flannel's manifest. */
const flannelConf = {
  cniVersion: '0.3.1',
  name: 'cbr0',
  type: 'flannel',
  delegate: { hairpinMode: true, isDefaultGateway: true },
}

/** Where flannel's plugin keeps what it gave its delegate, so that its DEL gives the same. */
const saved = (id: string) => `/var/lib/cni/flannel/${id}`

const subnetEnv = `FLANNEL_NETWORK=10.84.0.0/16
FLANNEL_SUBNET=10.84.7.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=false
`

// No package of flannel's plugin: it is played by what it documents, a file and calls of its delegate.
/** What flannel's plugin makes of `flannelConf` and `subnetEnv`. */
const delegate = JSON.stringify({
  cniVersion: '0.3.1',
  hairpinMode: true,
  ipMasq: true,
  ipam: {
    ranges: [[{ subnet: '10.84.7.0/24' }]],
    routes: [{ dst: '10.84.0.0/16' }],
    type: 'host-local',
  },
  isDefaultGateway: true,
  isGateway: true,
  mtu: 1450,
  name: 'cbr0',
  type: 'bridge',
})

async function flannelAdd(pod: Pod, id: string, plugins: PluginSet): Promise<void> {
  await runAt(pod.host, ['mkdir', '-p', '-m', '700', '/var/lib/cni/flannel'])
  writeOn(pod.host, saved(id), delegate)
  await runPluginFile(pod, plugins, { type: 'bridge', command: 'ADD', id, input: delegate })
}

async function flannelDel(pod: Pod, id: string, plugins: PluginSet): Promise<void> {
  const input = readFileSync(hostFile(pod.host, saved(id)), 'utf8')
  await runPluginFile(pod, plugins, { type: 'bridge', command: 'DEL', id, input })
  await runAt(pod.host, ['rm', saved(id)])
}

async function leasedHost(t: ExecutionContext, name: string): Promise<Host> {
  const here = nth(await hostsFor(t, { name, count: 1 }), 0)
  await installOurs(here)
  writeOn(here, '/run/flannel/subnet.env', subnetEnv)
  return here
}

/** Attaches and detaches a container, and says what is left and what was there in between. */
async function comeAndGo(
  host: Host,
  id: string,
  [add, del]: readonly [Step, Step],
): Promise<{ during: Traces; after: Traces }> {
  const pod = await addPod(host, id)
  await add(pod, id)
  const during = await tracesOn(host)
  await del(pod, id)
  await deletePod(pod)
  return { during, after: await tracesOn(host) }
}

type Step = (pod: Pod, id: string) => Promise<void>

const theirAdd: Step = (pod, id) => flannelAdd(pod, id, debian)
const theirDel: Step = (pod, id) => flannelDel(pod, id, debian)
const ourCall =
  (command: string): Step =>
  async (pod, id) => {
    const input = JSON.stringify(flannelConf)
    await runPluginFile(pod, ours, { type: 'flannel', command, id, input })
  }

test("flannel: what its plugin and Debian's bridge attached, heddle detaches", async (t) => {
  const here = await leasedHost(t, 'flannel-in')
  const { after: before } = await comeAndGo(here, 'first', [theirAdd, theirDel])
  t.deepEqual(before.files, [])
  const { during, after } = await comeAndGo(here, 'second', [theirAdd, ourCall('DEL')])
  t.deepEqual(during.files, ['networks/cbr0/10.84.7.3', saved('second')])
  t.notDeepEqual(difference(before.ruleset, during.ruleset), [])
  t.deepEqual(after, before)
})

test("flannel: what heddle attached, its plugin and Debian's bridge detach by the file that heddle saved", async (t) => {
  const here = await leasedHost(t, 'flannel-out')
  const { after: before } = await comeAndGo(here, 'first', [ourCall('ADD'), ourCall('DEL')])
  t.deepEqual(before.files, [])
  const delTwice: Step = async (pod, id) => {
    await t.throwsAsync(theirDel(pod, id), { message: missingChain })
    await theirDel(pod, id)
  }
  const { during, after } = await comeAndGo(here, 'second', [ourCall('ADD'), delTwice])
  t.true(during.files.includes(saved('second')))
  const record = '/run/heddle/attachments/cbr0/second-eth0.json'
  t.deepEqual(difference(before.files, after.files), [`+ ${record}`])
  t.deepEqual(after.links, before.links)
  t.deepEqual(after.routing, before.routing)
  await collectGarbage(here, { ...flannelConf, plugins: [flannelConf] }, [])
  t.deepEqual((await tracesOn(here)).files, [], 'GC takes the record')
})
