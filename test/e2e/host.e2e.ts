import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { dist, startDaemon, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { type Background, runAt, startAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { type LabStore, networkConfig, openStore } from '../../scripts/lab/store.ts'
import { hostsFor, nth } from './support.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')
const probe = join(import.meta.dirname, 'notify-probe.ts')
const uplink = ['--iface', 'eth0'] as const
const waitMs = { timeoutMs: 20_000 }

/** One host and a store; nothing runs yet. */
async function lonelyHost(
  t: ExecutionContext,
  name: string,
  options: { ipv6?: boolean } = {},
): Promise<{ host: Host; store: LabStore }> {
  const host = nth(await hostsFor(t, { name, count: 1 }), 0)
  const config = networkConfig({ Type: 'vxlan' }, options)
  return { host, store: await openStore(host.lab, 'sqlite', config) }
}

/** Starts heddled, whatever becomes of it; its log is shown if the test fails. */
function start(
  t: ExecutionContext,
  { host, store }: { host: Host; store: LabStore },
  env: Readonly<Record<string, string>> = {},
): Background {
  const logFile = `${host.lab.directory}/heddled.log`
  const daemon = startAt(host, [join(dist, 'heddled'), ...store.flags, ...uplink], { logFile, env })
  t.teardown(() => {
    if (!t.passed) t.log(daemon.log())
  })
  return daemon
}

interface Status {
  readonly ready: boolean
  readonly error?: string
  readonly warnings: readonly string[]
}

async function statusOf(host: Host): Promise<Status> {
  const ask = `${join(dist, 'heddlectl')} status --format json || [ $? = 3 ]`
  return JSON.parse(await runAt(host, ['sh', '-c', ask])) as Status
}

test('heddled tells systemd when it is ready, how it is, that it lives, and that it ends', async (t) => {
  const { host, store } = await lonelyHost(t, 'notify')
  const { directory } = host.lab
  const socket = `${directory}/notify`
  const systemd = startAt(host.lab.switch, [bun, 'run', probe, socket], {
    logFile: `${directory}/notify.log`,
  })
  const lines = () => systemd.log().trim().split('\n')
  const count = (wanted: string) => lines().filter((line) => line === wanted).length
  await until('the notification socket', () => count('bound') === 1, waitMs)

  const daemon = start(t, { host, store }, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '200000' })
  await until('READY=1', () => count('READY=1') === 1, waitMs)
  t.true(existsSync(hostFile(host, subnetFile)))
  t.regex(
    lines().findLast((line) => line.startsWith('STATUS=')) ?? '',
    /^STATUS=10\.244\.\d+\.0\/24, 0 peers$/,
  )
  await until('the watchdog to be fed', () => count('WATCHDOG=1') > 5, waitMs)

  // What does not run feeds nobody.
  daemon.signal('SIGSTOP')
  const isStopped = () => / T /.test(readFileSync(`/proc/${daemon.pid}/stat`, 'utf8'))
  await until('heddled to stand still', isStopped, waitMs)
  let fed = count('WATCHDOG=1')
  const isStarved = async () => {
    const before = fed
    await new Promise((resolve) => setTimeout(resolve, 500))
    fed = count('WATCHDOG=1')
    return fed === before
  }
  await until('the watchdog to starve', isStarved, waitMs)
  daemon.signal('SIGCONT')
  await until('the watchdog to be fed again', () => count('WATCHDOG=1') > fed, waitMs)

  t.is(await daemon.stop(), 0)
  t.is(
    lines()
      .filter((line) => !/^(?:STATUS|WATCHDOG)=/.test(line))
      .join(' '),
    'bound READY=1 STOPPING=1',
  )
  await systemd.stop()
})

test('heddled waits while /run cannot be written, at the start and later, and goes on by itself', async (t) => {
  const { host, store } = await lonelyHost(t, 'read-only')
  const remount = (how: 'ro' | 'rw') => runAt(host, ['mount', '-o', `remount,${how}`, '/run'])
  const file = hostFile(host, subnetFile)
  const links = () => runAt(host, ['ip', '-br', 'link'])
  await remount('ro')
  const before = await links()
  const daemon = start(t, { host, store })
  const says = (words: string) => until(words, () => daemon.log().includes(words), waitMs)
  await says('waiting for="cannot lock instance default: EROFS')
  t.true(daemon.log().includes('make /run/heddle writable'))
  t.is(await links(), before)
  await remount('rw')
  await until('the subnet file', () => existsSync(file), waitMs)
  await until('heddled to be ready', async () => (await statusOf(host)).ready, waitMs)
  const text = readFileSync(file, 'utf8')

  rmSync(file)
  await remount('ro')
  await says('file not written')
  const routes = await runAt(host, ['ip', 'route'])
  const { error } = await statusOf(host)
  t.regex(error ?? '', /cannot write \/run\/flannel\/subnet\.env: EROFS/)
  t.true(daemon.running())
  t.is(await runAt(host, ['ip', 'route']), routes)
  await remount('rw')
  await until('the subnet file to be back', () => existsSync(file), waitMs)
  t.is(readFileSync(file, 'utf8'), text)
  await until('no error', async () => (await statusOf(host)).error === undefined, waitMs)
  t.is(await daemon.stop(), 0)
})

test('heddled names the kernel settings that it cannot set, and works on', async (t) => {
  const { host, store } = await lonelyHost(t, 'sysctl-ro', { ipv6: true })
  // The uplink is not where packets to the world leave, and takes no packets from there.
  const otherWay = `ip link add wan type bridge; ip addr add 192.0.2.2/24 dev wan; ip link set wan up
    ip route replace default via 192.0.2.1 dev wan; echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter`
  const seal = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys'
  await runAt(host, ['sh', '-c', `${otherWay}; ${seal}`])
  const daemon = await startDaemon(host, store, uplink)
  const { warnings } = await statusOf(host)
  for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) {
    const warning = warnings.find((one) => one.startsWith(`${key} is 0`)) ?? ''
    t.regex(warning, /cannot be set to 1 \(EROFS/, warnings.join('\n'))
    t.true(warning.includes(`Set it on the host: sysctl -w ${key}=1`), warning)
  }
  const strict = warnings.find((one) => one.includes('reverse path filter of eth0')) ?? ''
  t.true(strict.includes('the default route leaves by wan'), warnings.join('\n'))
  t.true(strict.endsWith('sysctl -w net.ipv4.conf.eth0.rp_filter=2'), strict)
  t.is(await daemon.stop(), 0)
})

test('heddled makes its devices fit where the host filters strictly and has IPv6 off', async (t) => {
  const { host, store } = await lonelyHost(t, 'sysctl-odd', { ipv6: true })
  const write = (key: string, value: string) =>
    runAt(host, ['sh', '-c', `echo ${value} >/proc/sys/net/${key}`])
  const read = (key: string) => runAt(host, ['cat', `/proc/sys/net/${key}`])
  await write('ipv4/conf/all/rp_filter', '1')
  await write('ipv6/conf/default/disable_ipv6', '1')
  const daemon = await startDaemon(host, store, uplink)
  await until('heddled to be ready', async () => (await statusOf(host)).ready, waitMs)
  t.is(await read('ipv4/ip_forward'), '1')
  t.is(await read('ipv6/conf/all/forwarding'), '1')
  t.is(await read('ipv6/conf/eth0/accept_ra'), '2', 'the default route stays')
  t.is(await read('ipv4/conf/flannel.1/rp_filter'), '2')
  t.is(await read('ipv4/conf/eth0/rp_filter'), '0', 'not ours')
  t.is(await read('ipv6/conf/flannel.1/disable_ipv6'), '1', 'it carries none')
  const address = () => runAt(host, ['ip', '-6', 'addr', 'show', 'dev', 'flannel-v6.1'])
  await until('an IPv6 address', async () => (await address()).includes('fd00:10:244:'), waitMs)
  t.deepEqual((await statusOf(host)).warnings, [])

  await write('ipv4/ip_forward', '0')
  await write('ipv6/conf/all/forwarding', '0')
  const forwards = async () =>
    (await read('ipv4/ip_forward')) === '1' && (await read('ipv6/conf/all/forwarding')) === '1'
  await until('forwarding to be on again', forwards, waitMs)
  t.is(await daemon.stop(), 0)
})
