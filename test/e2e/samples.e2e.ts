import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ExecutionContext } from 'ava'
import { attach } from '../../scripts/lab/heddle.ts'
import { hostFile } from '../../scripts/lab/lab.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import { attempt, until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { testWith } from './installed.ts'
import { hostsFor, nth, startCluster } from './support.ts'

const samples = join(import.meta.dirname, '../../conf/samples')
const networkd = '/usr/lib/systemd/systemd-networkd'

/** What systemd has to say of a unit whose programs are there. */
async function verify(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  unit: string,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-units-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text.replaceAll(/^(ExecStart=)\/\S+/gm, '$1/bin/true'))
  }
  const { code, stderr } = await attempt(['systemd-analyze', 'verify', join(folder, unit)])
  return `${code} ${stderr}`
}

const sample = (name: string): string => readFileSync(join(samples, name), 'utf8')

testWith('systemd-analyze')('heddled.service is a unit that systemd takes', async (t) => {
  const text = sample('heddled.service')
  t.is(await verify(t, { 'heddled.service': text }, 'heddled.service'), '0 ')
  const wrong = { 'heddled.service': `${text}\n[Service]\nWatchdogSex=1\n` }
  t.regex(await verify(t, wrong, 'heddled.service'), /Unknown key/)
})

testWith('systemd-analyze')('docker.conf is a drop-in that systemd takes', async (t) => {
  const files = {
    'heddled.service': sample('heddled.service'),
    'docker.service': '[Service]\nType=notify\nExecStart=/usr/bin/dockerd -H fd://\n',
    'docker.service.d/heddle.conf': sample('docker.conf'),
  }
  t.is(await verify(t, files, 'docker.service'), '0 ')
})

testWith(networkd)(
  'systemd-networkd leaves alone what heddle makes, with the files for it',
  async (t) => {
    const hosts = await hostsFor(t, { name: 'networkd', count: 1 })
    const host = nth(hosts, 0)
    await startCluster(t, hosts, { store: 'sqlite', config: networkConfig({ Type: 'vxlan' }) })
    await attach(host, 'a')
    await runAt(host, ['ip', 'link', 'add', 'other0', 'type', 'bridge'])
    await runAt(host, ['ip', 'link', 'set', 'other0', 'up'])
    const links = () => runAt(host, ['ip', '-4', '-br', 'addr'])
    const before = await links()

    const run = hostFile(host, '/run/systemd')
    cpSync(join(samples, 'networkd'), join(run, 'network'), { recursive: true })
    cpSync(join(samples, 'networkd/heddle.conf'), join(run, 'networkd.conf.d/heddle.conf'))
    const wide = '[Match]\nName=flannel* cni0 veth* other0\n\n[Network]\nAddress=10.77.0.1/24\n'
    writeFileSync(join(run, 'network/90-wide.network'), wide)
    // Where /sys is read-only it does not wait for udev, as in a container.
    const script = `mount -o remount,bind,ro /sys
    install -d -o systemd-network /run/systemd/netif /run/systemd/netif/links /run/systemd/netif/leases
    SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console exec ${networkd}`
    const daemon = startAt(host, ['unshare', '--mount', 'sh', '-c', script], {
      logFile: `${host.lab.directory}/networkd.log`,
    })
    t.teardown(async () => {
      await daemon.stop()
      if (!t.passed) t.log(daemon.log())
    })
    const has = async () => /^other0 .* 10\.77\.0\.1/m.test(await links())
    await until('networkd to configure what it should', has, { timeoutMs: 20_000 })
    for (const name of ['flannel.1', 'cni0']) {
      const isLeft = () => daemon.log().includes(`${name}: State changed: initialized -> unmanaged`)
      await until(`networkd to pass over ${name}`, isLeft, { timeoutMs: 20_000 })
    }
    const others = (text: string) =>
      text.split('\n').filter((line) => /^\w/.test(line) && !line.startsWith('other0 '))
    t.deepEqual(others(await links()), others(before))
    t.regex(daemon.log(), /Ignoring received foreign route/, 'it would take them away otherwise')
    t.notRegex(daemon.log(), /Unknown (?:key|section)|Failed to parse/)
  },
)
