import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import { run, until } from '../../scripts/lab/run.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')
const probeFile = join(import.meta.dirname, 'netlink-follow-probe.ts')
const nft = '/usr/sbin/nft'

/** A namespace of the test's own, and in it a program that follows the kernel. */
async function follower(t: ExecutionContext, name: string) {
  const netns = `heddle-nf-${name}-${process.pid}`
  await run(['ip', 'netns', 'add', netns])
  t.teardown(() => run(['ip', 'netns', 'delete', netns]))
  const probe = execa('ip', ['netns', 'exec', netns, bun, 'run', probeFile], { reject: false })
  t.teardown(async () => {
    probe.kill('SIGKILL')
    await probe
  })
  const lines: string[] = []
  probe.stdout.on('data', (data: Buffer) => lines.push(...data.toString().trimEnd().split('\n')))
  await once(probe.stdout, 'data')
  return {
    pid: probe.pid ?? 0,
    lines,
    run: (...command: [string, ...string[]]) => run(['ip', 'netns', 'exec', netns, ...command]),
    batch: (input: string) => run(['ip', '-n', netns, '-batch', '-'], { input }),
    tell: (line: string) => probe.stdin.write(`${line}\n`),
    heard: (line: string) =>
      until(line, () => lines.includes(line), { timeoutMs: 10_000 }).catch((error: unknown) => {
        throw new Error(`heard only: ${lines.join(', ')}`, { cause: error })
      }),
  }
}

/** The netlink sockets a process has open. */
function socketsOf(pid: number): number {
  const inodes = readFileSync(`/proc/${pid}/net/netlink`, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/).at(-1))
  const files = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  return files.filter((file) => inodes.includes(/^socket:\[(\d+)\]$/.exec(file)?.[1])).length
}

test('followNetlink: hears of links and of the ruleset, from two sockets', async (t) => {
  const it = await follower(t, 'hear')
  await it.run('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1')
  await it.heard('link veth0 there')
  await it.run(nft, 'add', 'table', 'inet', 'x')
  await it.heard('table in inet x there')
  await it.run(nft, 'add', 'chain', 'inet', 'x', 'y')
  await it.run(nft, 'add', 'rule', 'inet', 'x', 'y', 'drop')
  await it.run(nft, 'flush', 'ruleset')
  await it.run('ip', 'link', 'delete', 'veth1')
  await it.heard('link veth0 gone')
  await it.heard('table in inet x gone')
  t.deepEqual(
    it.lines.filter((line) => / x |ruleset/.test(line)),
    [
      ...['table in inet x there', 'ruleset changed'],
      ...['chain in inet x there', 'ruleset changed'],
      ...['rule in inet x there', 'ruleset changed'],
      ...['rule in inet x gone', 'chain in inet x gone', 'table in inet x gone', 'ruleset changed'],
    ],
  )
})

test('followNetlink: says so when more happened than a socket can hold, and hears on', async (t) => {
  const it = await follower(t, 'lose')
  await it.run('ip', 'link', 'set', 'lo', 'up')
  await it.heard('link lo there')
  process.kill(it.pid, 'SIGSTOP')
  const routes = Array.from({ length: 20_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`)
  await it.batch(routes.map((address) => `route add ${address}/32 dev lo`).join('\n'))
  process.kill(it.pid, 'SIGCONT')
  await it.heard('route lost: ENOBUFS')
  await it.run('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1')
  await it.heard('link veth0 there')
  t.is(it.lines.filter((line) => line.includes('lost')).length, 1)
})

test('followNetlink: leaves no socket when it is disposed', async (t) => {
  const it = await follower(t, 'deaf')
  t.is(socketsOf(it.pid), 2)
  it.tell('deaf')
  await it.heard('deaf')
  await until('no socket', () => socketsOf(it.pid) === 0, { timeoutMs: 2_000 })
  t.pass()
})
