import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { attempt, type Command, mapLimit, type Outcome } from '../../scripts/lab/run.ts'
import { testWith } from './installed.ts'

const ours = join(dist, 'heddle-ipam')
const upstreams = '/usr/lib/cni/host-local'
const withUpstream = testWith(upstreams)
const bootIdPath = '/proc/sys/kernel/random/boot_id'

/** A data folder of one network in 10.91.0.0/16. */
class Network {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'heddle-ipam-e2e-'))
  readonly folder = join(this.dataDir, 'net')
  readonly #conf: object

  constructor(t: ExecutionContext) {
    t.teardown(() => rmSync(this.dataDir, { recursive: true }))
    mkdirSync(this.folder)
    const ipam = { type: 'host-local', dataDir: this.dataDir, subnet: '10.91.0.0/16' }
    this.#conf = { cniVersion: '1.1.0', name: 'net', type: 'x', ipam }
  }

  /** Runs a program that ends in being the plugin. */
  call(argv: Command, command: string, id: string, keys: object = {}): Promise<Outcome> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: '/run/netns/none',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
    }
    const cniVersion = argv.includes(upstreams) ? '1.0.0' : '1.1.0'
    const input = JSON.stringify({ ...this.#conf, ...keys, cniVersion })
    return attempt(argv, { env, input, timeoutMs: 60_000 })
  }

  /** As host-local does, with the text of containers `p0`, `p1`, ... */
  fill(count: number): void {
    for (let i = 0; i < count; i++) {
      const name = `10.91.${100 + (i >> 8)}.${i & 255}`
      writeFileSync(join(this.folder, name), `p${i}\r\neth0`)
    }
  }

  files(): Record<string, string> {
    const names = readdirSync(this.folder).filter((name) => /^\d/.test(name))
    const read = (name: string) => readFileSync(join(this.folder, name), 'utf8')
    return Object.fromEntries(names.toSorted().map((name) => [name, read(name)]))
  }

  /** The number of system calls between reading the configuration and the end. */
  async countCalls(t: ExecutionContext, command: string, id: string): Promise<number> {
    const trace = join(this.dataDir, '.trace')
    const argv: Command = ['strace', '-o', trace, '-e', 'trace=file,desc,process', ours]
    const outcome = await this.call(argv, command, id)
    t.is(outcome.code, 0, outcome.stdout)
    const lines = readFileSync(trace, 'utf8').split('\n')
    const start = lines.findIndex((line) => line.startsWith('read(0,'))
    const about = lines
      .slice(start)
      .filter(
        (line) =>
          line.includes(this.dataDir) || /^(getdents|read|write|f\w+sync|flock|close)/.test(line),
      )
    return about.length
  }
}

test('heddle-ipam: what ADD and DEL ask of the kernel does not grow with the addresses taken', async (t) => {
  const counts: Record<string, number[]> = { ADD: [], DEL: [] }
  for (const taken of [0, 3000]) {
    const net = new Network(t)
    net.fill(taken)
    await net.call([ours], 'ADD', 'first')
    for (const command of ['ADD', 'DEL'])
      counts[command]?.push(await net.countCalls(t, command, 'pod'))
  }
  t.log(JSON.stringify(counts))
  for (const [few = 0, many = 0] of Object.values(counts)) {
    t.true(few > 10)
    t.true(many <= few * 1.25, `${few} and ${many}`)
  }
})

withUpstream('heddle-ipam: right after host-local only what that wrote is read', async (t) => {
  const net = new Network(t)
  net.fill(3000)
  await net.call([ours], 'ADD', 'first')
  const plain = await net.countCalls(t, 'ADD', 'a')
  t.is((await net.call([upstreams], 'ADD', 'theirs')).code, 0)
  t.is((await net.call([upstreams], 'DEL', 'p7')).code, 0)
  const after = await net.countCalls(t, 'ADD', 'b')
  t.log(`${plain} calls, ${after} right after`)
  // Two listings: the folder's, and that of each folder of pins.
  t.true(after < plain + 350)
  t.is((await net.call([ours], 'CHECK', 'theirs')).code, 0)
  t.is((await net.call([ours], 'CHECK', 'p7')).code, 1)
  t.is((await net.call([ours], 'CHECK', 'p8')).code, 0)
})

/** The plugin on a machine whose kernel tells this boot id. */
async function inBoot(t: ExecutionContext, net: Network, bootId: string): Promise<Command> {
  const file = join(net.dataDir, '.boot-id')
  writeFileSync(file, `${bootId}\n`)
  const script = `mount --bind "${file}" ${bootIdPath} && exec ${ours}`
  const probe = await attempt(
    ['unshare', '--mount', 'sh', '-c', `mount --bind "${file}" ${bootIdPath} && cat ${bootIdPath}`],
    { timeoutMs: 10_000 },
  )
  t.is(probe.stdout.trim(), bootId, 'the boot id can be replaced')
  return ['unshare', '--mount', 'sh', '-c', script]
}

withUpstream(
  'heddle-ipam: after a restart its own addresses are free again, and no others',
  async (t) => {
    const net = new Network(t)
    const first = await inBoot(t, net, '11111111-1111-4111-8111-111111111111')
    for (const id of ['a', 'b', 'c']) t.is((await net.call(first, 'ADD', id)).code, 0)
    t.is((await net.call([upstreams], 'ADD', 'theirs')).code, 0)
    const second = await inBoot(t, net, '22222222-2222-4222-8222-222222222222')
    const added = await net.call(second, 'ADD', 'a')
    t.is(added.code, 0, added.stdout)
    t.regex(added.stderr, /freed the addresses that were reserved before the machine was restarted/)
    t.regex(added.stderr, /count=3/)
    t.deepEqual(net.files(), { '10.91.0.5': 'theirs\r\neth0', '10.91.0.6': 'a\r\neth0' })
    t.is((await net.call(second, 'ADD', 'b')).stderr, '')
  },
)

test('heddle-ipam: 120 ADDs and DELs killed at random leave nothing that DEL, or GC, does not free', async (t) => {
  const net = new Network(t)
  const ids = Array.from({ length: 60 }, (_, i) => `c${i}`)
  let killed = 0
  let seconds = 0.01
  const kill = async (command: string, id: string): Promise<void> => {
    const limit = `${seconds * (0.5 + Math.random())}`
    const { code } = await net.call(['timeout', '-s', 'KILL', limit, ours], command, id)
    // Sooner where they get through, later where none does, whatever else the machine has to do.
    seconds *= code === 0 ? 0.9 : 1.1
    if (code !== 0) killed++
  }
  await mapLimit(ids, 4, (id) => kill('ADD', id))
  await mapLimit(ids, 4, (id) => kill('DEL', id))
  const before = Object.keys(net.files()).length
  await mapLimit(ids.slice(0, 30), 4, (id) => net.call([ours], 'DEL', id))
  const held = Object.values(net.files())
  t.true(
    held.every((text) => Number(/^c(\d+)\r\neth0$/.exec(text)?.[1]) >= 30),
    held.join(),
  )
  const keep = [{ containerID: 'c59', ifname: 'eth0' }]
  const swept = await net.call([ours], 'GC', '', { 'cni.dev/valid-attachments': keep })
  t.is(swept.code, 0, swept.stdout)
  t.true(Object.values(net.files()).every((text) => text.startsWith('c59\r')))
  t.is((await net.call([ours], 'DEL', 'c59')).code, 0)
  t.deepEqual(net.files(), {})
  t.deepEqual(readdirSync(join(net.dataDir, '.heddle/net/new')), [])
  const pins = readdirSync(join(net.dataDir, '.heddle/net/held'), {
    recursive: true,
    encoding: 'utf8',
  })
  t.deepEqual(
    pins.filter((name) => name.includes('@') || name.includes('=')),
    [],
  )
  t.log(`${killed} of 120 killed, ${before} addresses reserved then`)
  t.true(killed > 20 && killed < 110, `${killed}`)
})
