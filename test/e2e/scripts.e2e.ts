import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { attempt, run } from '../../scripts/lab/run.ts'

const scripts = join(import.meta.dirname, '../../scripts')

test('scripts/install puts one file under all names, and again over running ones', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-install-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [cni, bin] = [join(folder, 'cni'), join(folder, 'bin')]
  const command = [join(scripts, 'install'), '--cni-dir', cni, `--bin-dir=${bin}`] as const
  const script = 'mk-docker-opts.sh'
  const inodes = () => {
    const files = [cni, bin].flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
    const executables = files.filter((file) => !file.endsWith(script))
    return new Set(executables.map((file) => statSync(file).ino))
  }

  await run(command)
  t.deepEqual(readdirSync(cni).toSorted(), ['heddle', 'heddle-ipam', 'loopback'])
  t.deepEqual(readdirSync(bin).toSorted(), ['heddlectl', 'heddled', script])
  t.is(inodes().size, 1)

  await run([...command, '--as-flannel'])
  const plugins = [
    'bandwidth',
    'bridge',
    'flannel',
    'heddle',
    'heddle-ipam',
    'host-local',
    'loopback',
    'portmap',
  ]
  t.deepEqual(readdirSync(cni).toSorted(), plugins)
  t.deepEqual(readdirSync(bin).toSorted(), ['flanneld', 'heddlectl', 'heddled', script])
  t.is(inodes().size, 1, 'none of the first files is left')
  const version = '{"cniVersion":"1.0.0"}'
  t.regex(await run([join(bin, script), '-h']), /^usage: mk-docker-opts\.sh/)
  const answer = await run([join(cni, 'heddle')], {
    input: version,
    env: { CNI_COMMAND: 'VERSION' },
  })
  t.true(
    (JSON.parse(answer) as { supportedVersions: string[] }).supportedVersions.includes('1.0.0'),
  )
})

for (const flags of [['--frobnicate'], ['--cni-dir']]) {
  test(`scripts/install ${flags.join(' ')} is refused`, async (t) => {
    const { code, stderr } = await attempt([join(scripts, 'install'), ...flags])
    t.is(code, 1)
    t.regex(stderr, /^scripts\/install: /)
  })
}

test('scripts/bench --json compares both in every respect', async (t) => {
  const command = [join(scripts, 'bench'), '--json', '--pairs', '4', '--taken', '300'] as const
  const report = JSON.parse(await run(command, { timeoutMs: 240_000 })) as {
    comparisons: { name: string; heddleMs: number; referenceMs: number; ratio: { value: number } }[]
    floor: { startMs: number; overEmpty: { value: number; low: number; high: number } }
    coldStart: { heddleMs: number; referenceMs: number }
  }
  t.deepEqual(
    report.comparisons.map(({ name }) => name),
    [
      ...['ADD', 'DEL', 'ADD with ipMasq', 'DEL with ipMasq', 'ADD with a port', 'DEL with a port'],
      ...['100 ADDs, 8 at once', '100 DELs, 8 at once'],
      ...['IPAM, 300 taken (against none)', 'IPAM after a foreign write'],
    ],
  )
  for (const { heddleMs, referenceMs, ratio } of report.comparisons) {
    t.true(heddleMs > 0 && referenceMs > 0 && ratio.value > 0)
  }
  const { startMs, overEmpty } = report.floor
  t.true(startMs > 0 && overEmpty.low <= overEmpty.high)
  t.true(report.coldStart.heddleMs > 0 && report.coldStart.referenceMs > 0)
})

for (const script of ['demo', 'test', 'bench', 'install']) {
  test(`scripts/${script} --help tells its usage and does nothing`, async (t) => {
    const { code, stdout, stderr } = await attempt([join(scripts, script), '--help'])
    t.is(code, 0)
    t.regex(stdout, new RegExp(`^usage: scripts/${script}`))
    t.is(stderr, '')
  })
}
