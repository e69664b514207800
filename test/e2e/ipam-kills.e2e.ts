import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { attempt, type Command, mapLimit, type Outcome } from '../../scripts/lab/run.ts'

const ours = join(dist, 'heddle-ipam')
/** Calls that change something on the disk, or the lock; the others change nothing between them. */
const effects = [
  'openat',
  'write',
  'close',
  'flock',
  'link',
  'rename',
  'unlink',
  'symlink',
  'mkdir',
  'utimensat',
]

function call(dataDir: string, argv: Command, command: string, id: string): Promise<Outcome> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: '/x',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/x',
  }
  const ranges = [[{ subnet: '10.92.0.0/24' }], [{ subnet: 'fd00:92::/112' }]]
  const input = JSON.stringify({ cniVersion: '1.0.0', name: 'net', ipam: { dataDir, ranges } })
  return attempt(argv, { env, input, timeoutMs: 60_000 })
}

/** Every effect of a run that concerns the data folder: the call, and the how manieth of its name it is. */
async function effectsOf(
  dataDir: string,
  command: string,
  id: string,
): Promise<{ name: string; nth: number }[]> {
  const trace = join(dataDir, '.trace')
  await call(
    dataDir,
    ['strace', '-f', '-o', trace, '-e', `trace=${effects.join()}`, ours],
    command,
    id,
  )
  const seen = new Map<string, number>()
  const found: { name: string; nth: number }[] = []
  let inFolder = false
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const name = /^\d+\s+(\w+)\(/.exec(line)?.[1] ?? ''
    const nth = (seen.get(name) ?? 0) + 1
    seen.set(name, nth)
    inFolder ||= line.includes('/.heddle/') || line.includes('/net/')
    if (inFolder && effects.includes(name)) found.push({ name, nth })
  }
  rmSync(trace)
  return found
}

/** What is in the network's folder and the sidecar but lock, cursors, state and the list of freed addresses. */
function contents(dataDir: string): string[] {
  const all = readdirSync(dataDir, { recursive: true, withFileTypes: true, encoding: 'utf8' })
  return all
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dataDir.length + 1))
    .filter((name) => !/(^net\/(lock|last_reserved_ip\.\d)|\/freed)$/.test(name))
    .toSorted()
}

for (const { command, fresh } of [
  { command: 'ADD', fresh: true },
  { command: 'ADD', fresh: false },
  { command: 'DEL', fresh: false },
]) {
  test(`heddle-ipam: ${command} ${fresh ? 'in a new network ' : ''}killed at any call loses and keeps nothing`, async (t) => {
    const made = mkdtempSync(join(tmpdir(), 'heddle-ipam-kill-'))
    t.teardown(() => rmSync(made, { recursive: true }))
    const template = join(made, 'template')
    mkdirSync(template)
    const prepare = async (dataDir: string): Promise<void> => {
      if (!fresh)
        for (const id of ['other', ...(command === 'DEL' ? ['pod'] : [])])
          await call(dataDir, [ours], 'ADD', id)
    }
    await prepare(template)
    const points = await effectsOf(template, command, 'pod')
    t.true(points.length > 15, `${points.length}`)
    let partial = 0
    await mapLimit(
      points.map((point, index) => ({ ...point, index })),
      2,
      async ({ name, nth, index }) => {
        const dataDir = join(made, `${index}`)
        mkdirSync(dataDir)
        await prepare(dataDir)
        partial += (await killed(t, dataDir, { command, name, nth, fresh })) ? 1 : 0
        rmSync(dataDir, { recursive: true })
      },
    )
    t.log(`${points.length} points, ${partial} left something half done`)
    t.true(partial > 3)
  })
}

interface Kill {
  readonly command: string
  readonly fresh: boolean
  readonly name: string
  readonly nth: number
}

/** Whether the kill left anything of the pod's that its DEL then had to remove. */
async function killed(t: ExecutionContext, dataDir: string, kill: Kill): Promise<boolean> {
  const { command, name, nth, fresh } = kill
  const at = `${command} killed at ${name} ${nth}`
  const inject = `inject=${name}:signal=SIGKILL:when=${nth}`
  const argv: Command = [
    'strace',
    '-f',
    '-o',
    '/dev/null',
    '-e',
    `trace=${name}`,
    '-e',
    inject,
    ours,
  ]
  await call(dataDir, argv, command, 'pod')
  // The other container's: two addresses, and a second name for each.
  const others = fresh ? 0 : 4
  const left = contents(dataDir).length !== others
  t.is((await call(dataDir, [ours], 'DEL', 'pod')).code, 0, at)
  t.is(contents(dataDir).length, others, `${at}: ${contents(dataDir).join(' ')}`)
  if (!fresh) t.is((await call(dataDir, [ours], 'CHECK', 'other')).code, 0, at)
  const added = await call(dataDir, [ours], 'ADD', 'pod')
  t.is(added.code, 0, `${at}: ${added.stdout}`)
  return left
}
