import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { supportedVersions } from '../../cni/protocol/versions.ts'
import { runIpam } from '../../ipam/main.ts'
import { silent } from '../../log/logger.ts'

type Env = Readonly<Record<string, string>>

const fixed = {
  log: silent,
  name: 'heddle-ipam',
  version: '1.2.3',
  isOwnNetns: (path: string) => path === '/proc/self/ns/net',
}

/** Runs heddle-ipam in process, in a data folder of its own. */
class Plugin {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'heddle-ipam-'))
  readonly conf = {
    cniVersion: '1.0.0',
    name: 'net',
    ipam: { type: 'heddle-ipam', dataDir: this.dataDir, subnet: '10.1.2.0/29' },
  }

  constructor(t: ExecutionContext) {
    t.teardown(() => rmSync(this.dataDir, { recursive: true }))
  }

  run(command: string, conf: object | string = this.conf, env: Env = {}, lock = touch) {
    const stdin = typeof conf === 'string' ? conf : JSON.stringify(conf)
    const output = { stdout: '', stderr: '' }
    const io = {
      env: { ...this.#env, CNI_COMMAND: command, ...env },
      readStdin: () => stdin,
      writeStdout: (text: string) => void (output.stdout += text),
      writeStderr: (text: string) => void (output.stderr += text),
    }
    const code = runIpam(io, { ...fixed, lock })
    return { code, ...output, json: output.stdout === '' ? undefined : JSON.parse(output.stdout) }
  }

  readonly #env = {
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/c1',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
  }

  files(): string[] {
    return readdirSync(join(this.dataDir, 'net')).toSorted()
  }
}

function touch(path: string): Disposable {
  writeFileSync(path, '')
  return { [Symbol.dispose]() {} }
}

for (const cniVersion of supportedVersions) {
  test(`runIpam() answers ADD and frees by DEL with CNI ${cniVersion}`, (t) => {
    const plugin = new Plugin(t)
    const conf = { ...plugin.conf, cniVersion }
    const added = plugin.run('ADD', conf)
    t.is(added.code, 0, added.stdout)
    t.is(added.json.cniVersion, cniVersion)
    const old = cniVersion === '0.1.0' || cniVersion === '0.2.0'
    t.is(old ? added.json.ip4.ip : added.json.ips[0].address, '10.1.2.2/29')
    t.is(readFileSync(join(plugin.dataDir, 'net/10.1.2.2'), 'utf8'), 'c1\r\neth0')
    t.like(plugin.run('DEL', conf), { code: 0, stdout: '' })
    t.like(plugin.run('DEL', conf), { code: 0, stdout: '' })
    t.deepEqual(plugin.files(), ['last_reserved_ip.0', 'lock'])
  })
}

test('runIpam() finds by CHECK what ADD reserved, until DEL', (t) => {
  const plugin = new Plugin(t)
  plugin.run('ADD')
  t.like(plugin.run('CHECK'), { code: 0, stdout: '' })
  plugin.run('DEL')
  t.like(plugin.run('CHECK'), {
    code: 1,
    json: { msg: 'host-local: Failed to find address added by container c1' },
  })
})

test('runIpam() takes a requested address from CNI_ARGS', (t) => {
  const plugin = new Plugin(t)
  const added = plugin.run('ADD', plugin.conf, { CNI_ARGS: 'IgnoreUnknown=1;K=v;IP=10.1.2.5/24' })
  t.is(added.json.ips[0].address, '10.1.2.5/29')
})

test('runIpam() answers VERSION without reading anything', (t) => {
  const { code, json } = new Plugin(t).run('VERSION', '{')
  t.is(code, 0)
  t.deepEqual(json.supportedVersions, [...supportedVersions])
})

test('runIpam() says what it is when started without a verb', (t) => {
  const { code, stdout, stderr } = new Plugin(t).run('')
  t.is(code, 0)
  t.is(stdout, '')
  t.regex(
    stderr,
    /^CNI heddle-ipam plugin v1\.2\.3\nCNI protocol versions supported: 0\.1\.0, .*\n$/,
  )
})

test('runIpam() refuses the namespace it is in, but for DEL and where it is overridden', (t) => {
  const plugin = new Plugin(t)
  const own = { CNI_NETNS: '/proc/self/ns/net' }
  t.is(plugin.run('ADD', plugin.conf, own).json.code, 8)
  t.is(plugin.run('DEL', plugin.conf, own).code, 0)
  t.is(plugin.run('ADD', plugin.conf, { ...own, CNI_NETNS_OVERRIDE: '1' }).code, 0)
})

test('runIpam() undoes the ADD whose answer cannot be written', (t) => {
  const plugin = new Plugin(t)
  const io = {
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: 'x',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/',
    },
    readStdin: () => JSON.stringify(plugin.conf),
    writeStdout: (text: string) => {
      if (text.includes('"ips"')) throw new Error('broken pipe')
    },
    writeStderr() {},
  }
  t.is(runIpam(io, { ...fixed, lock: touch }), 1)
  t.deepEqual(plugin.files(), ['last_reserved_ip.0', 'lock'])
})

test('runIpam() frees by DEL although the configuration went bad', (t) => {
  const plugin = new Plugin(t)
  plugin.run('ADD')
  const ipam = { dataDir: plugin.dataDir, subnet: 'nonsense', ranges: [[]] }
  t.like(plugin.run('DEL', { ...plugin.conf, ipam }, { CNI_ARGS: 'x' }), { code: 0, stdout: '' })
  plugin.run('ADD')
  t.like(plugin.run('DEL', { ...plugin.conf, cniVersion: '9.9.9' }), { code: 1, json: { code: 1 } })
  t.deepEqual(plugin.files(), ['last_reserved_ip.0', 'lock'])
})

const full = { subnet: '10.1.2.0/30', rangeEnd: '10.1.2.1' }
for (const [title, code, msg, command, change, env] of [
  [
    'no environment',
    4,
    /^required env variables \[CNI_PATH\] missing$/,
    'ADD',
    {},
    { CNI_PATH: '' },
  ],
  ['an unknown verb', 4, /^unknown CNI_COMMAND: FOO$/, 'FOO', {}, {}],
  ['no name', 7, /^missing network name$/, 'ADD', { name: '' }, {}],
  ['a bad name', 7, /^invalid characters found in network name$/, 'DEL', { name: '..' }, {}],
  ['no ipam', 7, /^IPAM config missing 'ipam' key$/, 'DEL', { ipam: undefined }, {}],
  ['no ranges', 7, /^no IP ranges specified$/, 'ADD', { ipam: {} }, {}],
  ['an unknown version', 1, /^incompatible CNI versions$/, 'ADD', { cniVersion: '9.9.9' }, {}],
  ['CHECK before 0.4.0', 1, /does not allow CHECK$/, 'CHECK', { cniVersion: '0.3.1' }, {}],
  ['unknown arguments', 4, /^ARGS: unknown args \["K=v"\]$/, 'ADD', {}, { CNI_ARGS: 'K=v' }],
  ['a full pool', 11, /no IP addresses available in range set: 10\.1\.2\.1-/, 'ADD', full, {}],
] as const) {
  test(`runIpam() answers ${title} with code ${code} and changes nothing`, (t) => {
    const plugin = new Plugin(t)
    const { ipam } = plugin.conf
    const changed = 'subnet' in change ? { ipam: { ...ipam, ...change } } : change
    const answer = plugin.run(command, { ...plugin.conf, ...changed }, env)
    t.is(answer.code, 1)
    t.is(answer.json.code, code, answer.stdout)
    t.regex(answer.json.msg, msg)
    const left = readdirSync(plugin.dataDir).filter((name) => name !== '.heddle')
    t.true(left.length === 0 || plugin.files().join() === 'lock')
  })
}

test('runIpam() answers a lock that is held too long with code 11 and names the folder', (t) => {
  const plugin = new Plugin(t)
  const lock = (path: string): Disposable => {
    throw Object.assign(new Error(`lock ${path} is held`), { name: 'LockTimeout' })
  }
  for (const command of ['ADD', 'DEL', 'CHECK']) {
    const { code, json } = plugin.run(command, plugin.conf, {}, lock)
    t.is(code, 1)
    t.is(json.code, 11)
    t.true(json.msg.includes(join(plugin.dataDir, 'net')))
  }
  t.deepEqual(readdirSync(plugin.dataDir), ['.heddle'])
  t.deepEqual(readdirSync(join(plugin.dataDir, '.heddle/net/new')), [])
})

test('runIpam() answers what is not JSON with code 6', (t) => {
  const { code, json } = new Plugin(t).run('ADD', '{')
  t.is(code, 1)
  t.is(json.code, 6)
})
