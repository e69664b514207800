import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { startDaemon } from '../../scripts/lab/heddle.ts'
import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, type Background, type Place, runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { type LabStore, networkConfig } from '../../scripts/lab/store.ts'
import { mustRun, podOn } from './cni-support.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')
const transfer = join(import.meta.dirname, 'netlink-transfer.ts')
const nft = '/usr/sbin/nft'
/** So soon after a flush everything answers again. */
const MENDED_MS = 2_000

function confFor(...hostPorts: readonly number[]): object {
  return {
    cniVersion: '1.0.0',
    name: 'net',
    type: 'heddle',
    isDefaultGateway: true,
    hairpinMode: true,
    ipMasq: true,
    runtimeConfig: {
      portMappings: hostPorts.map((hostPort) => ({
        hostPort,
        containerPort: 7777,
        protocol: 'tcp',
      })),
    },
  }
}

interface Scene {
  readonly host: Host
  readonly daemon: Background
  readonly pod: Pod
  readonly store: LabStore
  /** Whether the published port is reached from another host. */
  readonly port: () => Promise<boolean>
  /** Whether the container reaches another host, which knows no way back to its address. */
  readonly world: () => Promise<boolean>
}

/** A host with a daemon, and on it a container with a published port, where somebody answers. */
async function scene(t: ExecutionContext, name: string): Promise<Scene> {
  const hosts = await hostsFor(t, { name, count: 1 })
  const config = networkConfig({ Type: 'host-gw' })
  const { daemons, store } = await startCluster(t, hosts, { store: 'sqlite', config })
  const [host, daemon] = [nth(hosts, 0), nth(daemons, 0)]
  const pod = await podOn(host, 'web')
  const { json } = await mustRun(t, pod, { command: 'ADD', conf: confFor(8080) })
  const address = json.ips?.[0]?.address.split('/')[0] ?? ''
  const logFile = `${host.lab.directory}/web.log`
  const server = startAt(pod, [bun, 'run', transfer, 'serve', address, '7777'], { logFile })
  await until('the server', () => server.log().includes('ready'), {
    timeoutMs: 5_000,
  })
  return {
    host,
    daemon,
    pod,
    store,
    port: () => connects(host.lab.switch, host.publicIP, 8080),
    world: async () => {
      const { code } = await attemptAt(pod, ['ping', '-c1', '-W1', '10.100.0.254'])
      return code === 0
    },
  }
}

async function connects(from: Place, address: string, port: number): Promise<boolean> {
  const script = `exec 3<>/dev/tcp/${address}/${port}`
  return (await attemptAt(from, ['timeout', '1', 'bash', '-c', script])).code === 0
}

/** Milliseconds until both answer. */
async function untilMended({ port, world }: Scene): Promise<number> {
  const started = performance.now()
  await until('port and world to answer', async () => (await port()) && (await world()), {
    timeoutMs: 10_000,
  })
  return performance.now() - started
}

const ruleset = (host: Host) => runAt(host, [nft, '-a', 'list', 'ruleset'])
const flush = (host: Host) => runAt(host, [nft, 'flush', 'ruleset'])

/** A listing without handles and counts, its lines in any order: elements have none. */
function plain(listing: string): readonly string[] {
  return listing
    .replaceAll(/ # handle \d+| packets \d+ bytes \d+/g, '')
    .split('\n')
    .toSorted()
}

test('heddled puts back what containers have of the firewall, at once after a flush', async (t) => {
  const it = await scene(t, 'flush')
  const { host, daemon } = it
  t.true((await it.port()) && (await it.world()))
  const before = plain(await ruleset(host))

  // What it is worth: without the daemon nothing answers.
  daemon.signal('SIGSTOP')
  await flush(host)
  t.false((await it.port()) || (await it.world()))
  daemon.signal('SIGCONT')
  const woken = await untilMended(it)
  t.true(woken < MENDED_MS, `${woken} ms after it went on`)
  t.deepEqual(plain(await ruleset(host)), before)

  for (const damage of [
    'flush ruleset',
    'delete table inet heddle-cni',
    'flush table inet heddle-cni',
    'flush ruleset; add table inet theirs',
  ]) {
    await runAt(host, [nft, damage])
    const mended = await untilMended(it)
    t.log(`${damage}: ${Math.round(mended)} ms`)
    t.true(mended < MENDED_MS, `${damage}: ${mended} ms`)
    await runAt(host, ['sh', '-c', `${nft} delete table inet theirs 2>/dev/null || true`])
    t.deepEqual(plain(await ruleset(host)), before, damage)
  }

  // Elements of the plugin's sets and maps, which come and go with containers, come back too.
  const listing = await runAt(host, [nft, 'list', 'table', 'inet', 'heddle-cni'])
  const sets = Array.from(
    listing.matchAll(/^\t(set|map) (\S+) \{/gm),
    ([, kind, set]) => `${kind} inet heddle-cni ${set}`,
  )
  t.true(sets.length > 1)
  await runAt(host, [nft, sets.map((set) => `flush ${set}`).join('; ')])
  t.notDeepEqual(plain(await ruleset(host)), before)
  const isBack = async () => plain(await ruleset(host)).join('\n') === before.join('\n')
  await until('the elements', isBack, { timeoutMs: 5_000 })
})

test('heddled does not answer its own writing, nor what the plugin writes', async (t) => {
  const { host, daemon } = await scene(t, 'quiet')
  await flush(host)
  await sleep(MENDED_MS)
  const settled = await ruleset(host)
  const log = daemon.log()
  await sleep(3_000)
  t.is(await ruleset(host), settled, 'the handles too')
  t.is(daemon.log(), log)

  const pod = await podOn(host, 'other')
  await mustRun(t, pod, { command: 'ADD', conf: confFor(8081) })
  await mustRun(t, pod, { command: 'DEL', conf: confFor(8081) })
  await sleep(1_000)
  t.deepEqual(plain(await ruleset(host)), plain(settled))
  t.is(daemon.log(), log)

  // A thousand transactions of somebody else's.
  const ticks = processorTicks(daemon.pid)
  const lines = Array.from(
    { length: 500 },
    (_, i) => `add table inet t${i}\ndelete table inet t${i}\n`,
  )
  await runAt(host, [nft, '--interactive'], { input: lines.join('') })
  await sleep(500)
  const used = (processorTicks(daemon.pid) - ticks) * 10
  t.log(`${used} ms of processor time`)
  t.true(used < 500, `${used} ms of processor time`)
  t.is(daemon.log(), log)
})

/** What a process has used so far, in hundredths of a second; proc(5), fields 14 and 15. */
function processorTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

test('heddled writes nothing for containers that went', async (t) => {
  const { host, pod } = await scene(t, 'gone')
  await mustRun(t, pod, { command: 'DEL', conf: confFor(8080) })
  await flush(host)
  await until('the daemon’s own table', async () => (await ruleset(host)).includes('heddle-net'), {
    timeoutMs: 5_000,
  })
  await sleep(500)
  t.false((await ruleset(host)).includes('heddle-cni'))
})

test('heddled puts back at its start what was flushed while it was away', async (t) => {
  const it = await scene(t, 'away')
  const { host, daemon, store } = it
  const before = plain(await ruleset(host))
  await daemon.stop()
  await flush(host)
  t.false((await it.port()) || (await it.world()))
  await startDaemon(host, store, ['--iface', 'eth0'])
  await untilMended(it)
  t.deepEqual(plain(await ruleset(host)), before)
})
