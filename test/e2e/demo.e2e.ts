import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { attempt } from '../../scripts/lab/run.ts'
import { destroyLab } from '../../scripts/lab/teardown.ts'

const demo = join(import.meta.dirname, '../../scripts/demo')
const name = `e2e-demo-${process.pid}`

test.afterEach.always(() => destroyLab(name))

function namespaces(): string[] {
  return readdirSync('/run/netns').filter((entry) => entry.startsWith(`heddle-${name}-`))
}

interface DemoJson {
  readonly hosts: { name: string; publicIP: string; subnet: string }[]
  readonly pings: { from: string; to: string; sent: number; received: number; rttMs: number }[]
  readonly ok: boolean
}

for (const flags of [
  [],
  ['--hosts', '2', '--store', 'etcd', '--backend', 'host-gw'],
  ['--hosts', '2', '--ipv6'],
]) {
  const title = ['scripts/demo', '--json', ...flags].join(' ')
  test(`${title} prints one object, within a minute, and leaves nothing`, async (t) => {
    const began = Date.now()
    const command = [demo, '--json', '--name', name, ...flags] as const
    const { code, stdout, stderr } = await attempt(command, { timeoutMs: 120_000 })
    t.is(code, 0, stderr)
    t.true(Date.now() - began < 60_000)
    const { hosts, pings, ok } = JSON.parse(stdout) as DemoJson
    t.true(ok)
    const count = flags.includes('--hosts') ? 2 : 3
    const families = flags.includes('--ipv6') ? 2 : 1
    t.deepEqual(
      hosts.map((host) => host.publicIP),
      ['10.100.0.1', '10.100.0.2', '10.100.0.3'].slice(0, count),
    )
    t.is(new Set(hosts.map((host) => host.subnet)).size, count)
    t.true(hosts.every((host) => /^10\.244\.\d+\.0\/24$/.test(host.subnet)))
    t.is(pings.length, 2 * count * (2 * count - 1) * families)
    t.true(pings.every(({ sent, received, rttMs }) => sent > 0 && received === sent && rttMs > 0))
    t.deepEqual(namespaces(), [])
  })
}

test('scripts/demo --keep stays up, says how to look around, and --down removes it', async (t) => {
  const kept = await attempt([demo, '--keep', '--hosts', '2', '--name', name], {
    timeoutMs: 120_000,
  })
  t.is(kept.code, 0, kept.stderr)
  t.regex(kept.stdout, /host2\/b/)
  t.is(namespaces().length, 3)
  const status = /nsenter .*heddlectl status/.exec(kept.stderr)?.[0] ?? ''
  const shown = await attempt(['sh', '-c', status])
  t.is(shown.code, 0, shown.stderr)
  t.regex(shown.stdout, /10\.100\.0\.2/)
  const down = await attempt([demo, '--down', '--name', name])
  t.is(down.code, 0, down.stderr)
  t.deepEqual(namespaces(), [])
})

for (const flags of [
  ['--hosts', '0'],
  ['--store', 'paper'],
  ['--backend', 'pigeon'],
  ['--name', '../x'],
  ['--frobnicate'],
]) {
  test(`scripts/demo ${flags.join(' ')} is refused`, async (t) => {
    const { code, stdout, stderr } = await attempt([demo, ...flags])
    t.not(code, 0)
    t.is(stdout, '')
    t.regex(stderr, /^scripts\/demo: /m)
  })
}
