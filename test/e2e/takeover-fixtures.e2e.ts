import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { dist, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import type { Command } from '../../scripts/lab/run.ts'
import {
  type LabStore,
  type NetworkConfig,
  networkConfig,
  openStore,
} from '../../scripts/lab/store.ts'
import { testWith } from './installed.ts'
import type { StoredLease } from './kernel-check.ts'
import { openLeases } from './lease-writer.ts'
import { hostsFor, nth } from './support.ts'
import {
  attachAsFlannel,
  dataPath,
  heddledCommand,
  startHeddled,
  withoutDad,
} from './takeover-support.ts'
import { startTraffic } from './takeover-traffic.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const testLegacy = testWith('iptables-legacy-restore')
const testFixture = testWith('iptables-restore', 'ip6tables-restore', '/usr/lib/cni/bridge')

/** Which program brings a file of a fixture into a host. */
const programs: readonly (readonly [string, Command])[] = [
  ['ip.batch', ['ip', '-batch']],
  ['bridge.batch', ['bridge', '-batch']],
  ['iptables.rules', ['iptables-restore', '--noflush']],
  ['ip6tables.rules', ['ip6tables-restore', '--noflush']],
  ['nftables.rules', ['/usr/sbin/nft', '-f']],
]

/** Makes a host what flannel left there, but for what is in the store. */
async function restoreHost(host: Host, folder: string): Promise<void> {
  for (const [name, program] of programs) {
    const file = join(folder, name)
    if (existsSync(file)) await runAt(host, [...program, file])
  }
  const target = hostFile(host, subnetFile)
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(join(folder, 'subnet.env'), target)
}

/** Moments of a start, from before its first word to after its last. */
const killedAfterMs = [10, 40, 70, 100, 130, 160, 190, 220, 300] as const

async function startAndKill(host: Host, store: LabStore, ms: number): Promise<void> {
  const logFile = `${host.lab.directory}/${host.name}/killed-${ms}.log`
  const daemon = startAt(host, heddledCommand(store), { logFile })
  await sleep(ms)
  await daemon.stop('SIGKILL')
}

function readLeaseOf(folder: string): { readonly lease: StoredLease; readonly text: string } {
  const [key = '', text = ''] = readFileSync(join(folder, 'lease'), 'utf8').split('\n')
  return { lease: { key, value: JSON.parse(text) as StoredLease['value'] }, text }
}

const ruleset = (host: Host) => runAt(host, ['/usr/sbin/nft', 'list', 'ruleset'])

for (const [name, mtu] of [
  ['flannel-vxlan', 1430],
  ['flannel-host-gw', 1500],
] as const) {
  testFixture(
    `heddled goes on where flanneld left ${name}: same lease, same MAC, nothing lost, though it is killed at nine moments of its start`,
    async (t) => {
      const hosts = await hostsFor(t, { name, count: 2 })
      await withoutDad(hosts)
      const folders = hosts.map((host) => join(fixtures, name, host.name))
      const config = JSON.parse(
        readFileSync(join(fixtures, name, 'config.json'), 'utf8'),
      ) as NetworkConfig
      const store = await openStore(nth(hosts, 0).lab, 'sqlite', config)
      const leases = openLeases(t, nth(hosts, 0).lab, 'sqlite')
      for (const [i, host] of hosts.entries()) {
        await restoreHost(host, nth(folders, i))
        await leases.put(readLeaseOf(nth(folders, i)).lease)
      }
      const stations = [
        await attachAsFlannel(t, nth(hosts, 0)),
        await attachAsFlannel(t, nth(hosts, 1)),
      ] as const
      const before = await Promise.all(hosts.map((host) => dataPath(host)))
      const traffic = await startTraffic(t, stations)

      const daemons = []
      for (const [i, host] of hosts.entries()) {
        t.regex(await ruleset(host), /flannel/i)
        for (const ms of killedAfterMs) await startAndKill(host, store, ms)
        daemons.push(await startHeddled(t, host, store))
        await traffic.goOn()
        const expected = nth(before, i).map((line) =>
          line.replace(/^FLANNEL_MTU=.*/, `FLANNEL_MTU=${mtu}`),
        )
        t.deepEqual(await dataPath(host), expected)
        t.notRegex(await ruleset(host), /flannel/i)
      }
      const texts = (await leases.list()).map(
        ({ key, value }) => [key, JSON.stringify(value)] as const,
      )
      t.is(texts.length, 2)
      for (const { lease, text } of folders.map((folder) => readLeaseOf(folder))) {
        // Flannel's fields stay as they were, byte for byte.
        const [, now = ''] = texts.find(([key]) => key === lease.key) ?? []
        t.is(now.replace(/,"NodeID":"[0-9a-f-]{36}"\}$/, '}'), text)
        t.not(now, text)
      }
      for (const daemon of daemons) t.is(await daemon.stop(), 0)
      await traffic.stopAndCheck()
    },
  )
}

testLegacy('heddled says in its status what flanneld left in iptables-legacy', async (t) => {
  const host = nth(await hostsFor(t, { name: 'flannel-legacy', count: 1 }), 0)
  const folder = join(fixtures, 'flannel-vxlan/host1')
  await runAt(host, ['iptables-legacy-restore', '--noflush', join(folder, 'iptables.rules')])
  const before = await runAt(host, ['iptables-legacy-save'])
  const config = networkConfig({ Type: 'host-gw' })
  await startHeddled(t, host, await openStore(host.lab, 'sqlite', config))
  const status = await runAt(host, [join(dist, 'heddlectl'), 'status'])
  t.regex(status, /iptables-legacy has tables here \(filter, nat\)/)
  t.is(withoutNotes(await runAt(host, ['iptables-legacy-save'])), withoutNotes(before))
})

/** Without times and counts. */
function withoutNotes(rules: string): string {
  return rules.replaceAll(/^#.*$| \[\d+:\d+\]$/gm, '')
}
