import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { subnetFile } from '../../scripts/lab/heddle.ts'
import type { Host, Lab } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { type LabStore, networkConfig, openStore } from '../../scripts/lab/store.ts'
import { changes, fileOn } from './cni-support.ts'
import { testUnless } from './installed.ts'
import { buildPrevious } from './interchange-previous.ts'
import { kernelDump } from './kernel-dump.ts'
import { hostsFor, nth } from './support.ts'
import { attachAsFlannel, startHeddled, waitForPeer, withoutDad } from './takeover-support.ts'
import { startTraffic, type Traffic } from './takeover-traffic.ts'

const previous = await buildPrevious()
const testPrevious = testUnless('reason' in previous ? previous.reason : undefined)
const previousProgram = 'tree' in previous ? join(previous.tree, 'dist/heddled') : ''

interface Scene {
  readonly host: Host
  readonly store: LabStore
  readonly daemon: Awaited<ReturnType<typeof startHeddled>>
  readonly traffic: Traffic
  /** Fails the test if anything in the kernel is other than when the scene began. */
  readonly nothingChanged: (when: string) => Promise<void>
}

/** Two hosts under traffic, both families; `program` runs on the first. */
async function scene(t: ExecutionContext, type: string, program?: string): Promise<Scene> {
  const hosts = await hostsFor(t, { name: `up-${type}-${program ? 'old' : 'new'}`, count: 2 })
  await withoutDad(hosts)
  const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
  const store = await openStore(host.lab, 'etcd', networkConfig({ Type: type }, { ipv6: true }))
  const daemon = await startHeddled(t, host, store, program)
  await startHeddled(t, peer, store)
  await waitForPeer(host, peer)
  const stations = [await attachAsFlannel(t, host), await attachAsFlannel(t, peer)] as const
  const traffic = await startTraffic(t, stations)
  const before = await kernelDump(host)
  const nothingChanged = async (when: string) => {
    await traffic.goOn()
    t.deepEqual(changes(before, await kernelDump(host)), [], when)
  }
  return { host, store, daemon, traffic, nothingChanged }
}

/** How packets to a server that is away are answered. */
const away = { vxlan: 'drop', 'host-gw': 'reject with tcp reset' } as const

for (const type of ['vxlan', 'host-gw'] as const) {
  testPrevious(
    `heddled with ${type}: an upgrade and the way back under traffic lose nothing and change nothing in the kernel`,
    async (t) => {
      const { host, store, daemon, traffic, nothingChanged } = await scene(t, type, previousProgram)
      t.is(await daemon.stop(), 0)
      await startHeddled(t, host, store)
      await nothingChanged('after the upgrade')
      await traffic.stopAndCheck()
    },
  )

  test(`heddled with ${type}: killed, and killed and started again while etcd is away, it loses nothing and changes nothing in the kernel`, async (t) => {
    const { host, store, daemon, traffic, nothingChanged } = await scene(t, type)
    await daemon.stop('SIGKILL')
    const second = await startHeddled(t, host, store)
    await nothingChanged('after kill -9')

    await cutOffEtcd(host.lab, away[type])
    await nothingChanged('with etcd away')
    await second.stop('SIGKILL')
    await startHeddled(t, host, store)
    await nothingChanged('started with etcd away')
    const held = leaseEnd(host)
    await runAt(host.lab.switch, [nft, 'delete', 'table', 'inet', 'cut'])
    await until('the lease to be renewed', () => leaseEnd(host) > held, { timeoutMs: 20_000 })
    await nothingChanged('with etcd back')
    await traffic.stopAndCheck()
  })
}

const nft = '/usr/sbin/nft'

/** Until when the daemon holds its lease, as its status file says; ISO 8601. */
function leaseEnd(host: Host): string {
  const text = fileOn(host, `${subnetFile}.status.json`) ?? '{}'
  return (JSON.parse(text) as { expires?: string }).expires ?? ''
}

/** Packets to the server are answered so from now on; those that the switch forwards pass. */
async function cutOffEtcd({ switch: place }: Lab, verdict: string): Promise<void> {
  const chain = `chain input { type filter hook input priority 0; tcp dport 2379 ${verdict}; }`
  await runAt(place, [nft, '-f', '-'], { input: `table inet cut { ${chain}; }` })
}
