import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { stateOf } from './cni-faults-support.ts'
import { bareHost, changes, mustRun, type PluginAnswer, podOn } from './cni-support.ts'

const plugin = join(dist, 'heddle')

/** A container of its own namespace, `c1` and so on, and the network that it is attached to. */
interface Job {
  readonly name: string
  readonly conf: object
}

function jobs(count: number, conf: (index: number) => object): Job[] {
  return Array.from({ length: count }, (_, i) => ({ name: `c${i + 1}`, conf: conf(i) }))
}

/** How a run ended. */
interface Ended {
  readonly code: number
  readonly json: PluginAnswer
}

/** Makes the namespaces of all jobs, by one process. */
async function makeNamespaces(host: Host, all: readonly Job[]): Promise<void> {
  const input = all.map(({ name }) => `netns add ${name}\n`).join('')
  await runAt(host, ['ip', '-batch', '-'], { input })
}

/**
 * Runs a verb for all jobs at the same time. Each waits for a pipe to be closed, so that none is
 * over before the last is there.
 */
async function runAtOnce(host: Host, verb: 'ADD' | 'DEL', all: readonly Job[]): Promise<Ended[]> {
  const input = all.map(({ name, conf }) => `${name} ${JSON.stringify(conf)}\n`).join('')
  const text = await runAt(host, ['sh', '-c', atOnceScript], {
    input,
    env: {
      PLUGIN: plugin,
      CNI_COMMAND: verb,
      CNI_IFNAME: 'eth0',
      CNI_PATH: dist,
      CNI_ARGS: '',
      CNI_NETNS_OVERRIDE: '',
    },
  })
  return text.split(';;').flatMap((part) => {
    const [, stdout = '', code = ''] = /^([\s\S]*)exit (\d+)\n$/.exec(part) ?? []
    if (code === '') return []
    return [{ code: Number(code), json: JSON.parse(stdout.trim() || '{}') as PluginAnswer }]
  })
}

const atOnceScript = `
set -eu
rm -rf /run/lab/at-once; mkdir /run/lab/at-once; cd /run/lab/at-once; mkfifo gate
while read -r name conf; do
  {
    read -r _ <gate || true
    status=0
    printf %s "$conf" | CNI_CONTAINERID=$name CNI_NETNS=/run/netns/$name "$PLUGIN" >"$name" || status=$?
    printf 'exit %s\\n;;\\n' "$status" >>"$name"
  } &
done
sleep 0.2
exec 3>gate
sleep 0.05
exec 3>&-
wait
cat c*`

/** Fails the test with what was said, if any run failed. */
function allWell(t: ExecutionContext, ended: readonly Ended[], count: number): void {
  const bad = ended.filter(({ code }) => code !== 0)
  t.deepEqual(bad, [])
  t.is(ended.length, count)
}

function addressesOf(ended: readonly Ended[]): string[] {
  return ended.flatMap(({ json }) => (json.ips ?? []).map(({ address }) => address))
}

/**
 * The addresses of these that do not answer the host. Some at a time, and again if they are silent:
 * the kernel's table of neighbours is one for all namespaces, and small.
 */
async function silentOf(host: Host, addresses: readonly string[]): Promise<string[]> {
  const bare = addresses.map((address) => address.replace(/\/\d+$/, ''))
  const silent = await runAt(host, ['sh', '-c', pingScript, 'sh', ...bare], { timeoutMs: 120_000 })
  return silent.split('\n').filter(Boolean)
}

const pingScript = `
ask() { for _ in 1 2 3; do ping -nqc1 -W2 "$1" >/dev/null && return; done; echo "$1"; }
while [ $# -gt 0 ]; do
  for _ in $(seq 20); do [ $# -eq 0 ] || { ask "$1" & shift; }; done
  wait
done`

/** What belongs to attachments, of all that a host has. */
async function leftovers(host: Host): Promise<string[]> {
  const state = await stateOf(host)
  return state.filter((line) =>
    /^\d+: veth| ifb |"\w+ c\d+ eth0"|^\/(var\/lib|run)\/|is held/.test(line),
  )
}

const one = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'heddle',
  ipMasq: true,
  ipam: { ranges: [[{ subnet: '10.88.0.0/16' }], [{ subnet: 'fd00:88::/64' }]] },
}

/** The network, with a published port of the container's own. */
function withPort(index: number): object {
  const portMappings = [{ hostPort: 10_000 + index, containerPort: 80, protocol: 'tcp' }]
  return { ...one, capabilities: { portMappings: true }, runtimeConfig: { portMappings } }
}

test('200 ADDs at once have 200 addresses that answer, and 200 DELs at once leave nothing', async (t) => {
  const host = await bareHost(t, 'parallel')
  await mustRun(t, await podOn(host, 'first'), { command: 'ADD', conf: withPort(9000) })
  const all = jobs(200, withPort)
  await makeNamespaces(host, all)
  const before = await stateOf(host)
  const begun = performance.now()
  const added = await runAtOnce(host, 'ADD', all)
  const addMs = Math.round(performance.now() - begun)
  allWell(t, added, 200)
  const addresses = addressesOf(added)
  t.is(addresses.length, 400)
  t.is(new Set(addresses).size, 400)
  t.deepEqual(await silentOf(host, addresses), [])
  const again = performance.now()
  allWell(t, await runAtOnce(host, 'DEL', all), 200)
  t.log(`ADD ${addMs} ms, DEL ${Math.round(performance.now() - again)} ms`)
  t.deepEqual(changes(before, await stateOf(host)), [])
})

test('40 ADDs at once, each the first of a network of its own, all succeed', async (t) => {
  const host = await bareHost(t, 'networks')
  const all = jobs(40, (i) => ({
    ...one,
    name: `net${i}`,
    bridge: `br${i}`,
    ipam: { subnet: `10.90.${i}.0/24` },
  }))
  await makeNamespaces(host, all)
  const added = await runAtOnce(host, 'ADD', all)
  allWell(t, added, 40)
  const addresses = addressesOf(added)
  t.is(new Set(addresses).size, 40)
  t.deepEqual(await silentOf(host, addresses), [])
  allWell(t, await runAtOnce(host, 'DEL', all), 40)
  t.deepEqual(await leftovers(host), [])
})

test('ADDs at once of a network that is not there yet make one bridge, one table and one rule', async (t) => {
  const host = await bareHost(t, 'nothing')
  const all = jobs(12, withPort)
  await makeNamespaces(host, all)
  for (let round = 1; round <= 8; round++) {
    const added = await runAtOnce(host, 'ADD', all)
    allWell(t, added, 12)
    const addresses = addressesOf(added)
    t.is(new Set(addresses).size, 24)
    t.deepEqual(await silentOf(host, addresses), [])
    const rules = await runAt(host, ['/usr/sbin/nft', 'list', 'table', 'inet', 'heddle-cni'])
    t.is(rules.match(/hosts4-\S+ ip daddr/g)?.length, 1, rules)
    t.is(rules.match(/hosts6-\S+ ip6 daddr/g)?.length, 1, rules)
    allWell(t, await runAtOnce(host, 'DEL', all), 12)
    t.deepEqual(await leftovers(host), [])
    await runAt(host, ['sh', '-c', 'ip link delete cni0; nft flush ruleset; rm -r /var/lib/cni/*'])
  }
})
