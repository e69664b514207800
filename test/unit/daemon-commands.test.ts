import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type Command, makeCommand, type PeerCommands } from '../../daemon/backend/command.ts'
import {
  CommandError,
  Commands,
  type RunCommand,
  runCommand,
} from '../../daemon/backend/commands.ts'
import { createBackend } from '../../daemon/backend/create-backend.ts'
import { silent } from '../../log/logger.ts'

const environment = { HOME: '/root', EMPTY: '' }

test('makeCommand() leaves words as they are but for its own variables', (t) => {
  const spec = ['sh', '-c', 'ip route replace $SUBNET via ${PUBLIC_IP}; echo $HOME $1 $$']
  const made = makeCommand(
    spec,
    { SUBNET: '10.5.2.0/24', PUBLIC_IP: '192.168.0.2' },
    { environment },
  )
  t.deepEqual(made.argv, [
    'sh',
    '-c',
    'ip route replace 10.5.2.0/24 via 192.168.0.2; echo $HOME $1 $$',
  ])
  t.deepEqual(made.env, { SUBNET: '10.5.2.0/24', PUBLIC_IP: '192.168.0.2' })
  t.is(made.input, '')
})

test('makeCommand() parts a text at white space, and puts in what names stand for', (t) => {
  const text = ' ip  route\tadd "$SUBNET" via $PUBLIC_IP dev ${HOME}/x $NOBODY\n'
  const made = makeCommand(
    text,
    { SUBNET: '10.5.2.0/24', PUBLIC_IP: '' },
    { environment, input: 'k' },
  )
  t.deepEqual(made.argv, ['ip', 'route', 'add', '"10.5.2.0/24"', 'via', '', 'dev', '/root/x', ''])
  t.is(made.input, 'k')
})

function command(name: string): Command {
  return { argv: [name], env: {}, input: '' }
}

function peer(name: string): PeerCommands {
  return { add: command(`+${name}`), remove: command(`-${name}`) }
}

/** Commands that are only noted down; those in `failing` fail as often as it says. */
function running(t: ExecutionContext, failing: Record<string, number> = {}) {
  const ran: string[] = []
  const run: RunCommand = async ({ argv: [name = ''] }) => {
    ran.push(name)
    await sleep(1)
    const left = failing[name] ?? 0
    failing[name] = left - 1
    if (left > 0) throw new CommandError(`${name}: exit code 1`)
    return ''
  }
  const commands = new Commands(silent, { run, retryMs: { first: 10, longest: 20 } })
  const stop = new AbortController()
  let kept = Promise.resolve()
  t.teardown(async () => {
    stop.abort()
    await kept
  })
  return {
    ran,
    commands,
    keep: () => (kept = commands.keep(stop.signal)),
    stop: async () => {
      stop.abort()
      await kept
    },
  }
}

/** Waits until this has run, and a little longer for what should not. */
async function until(ran: readonly string[], count: number): Promise<void> {
  for (let tries = 0; ran.length < count && tries < 500; tries++) await sleep(5)
  await sleep(30)
}

test('Commands runs what each peer wants once, and takes it back when the peer goes', async (t) => {
  const { ran, commands, keep } = running(t)
  commands.set('a', peer('a'))
  void keep()
  await until(ran, 1)
  commands.set('a', peer('a'))
  commands.set('b', peer('b'))
  await until(ran, 2)
  t.deepEqual(ran, ['+a', '+b'])
  commands.set('a', undefined)
  commands.set('nobody', undefined)
  await until(ran, 3)
  t.deepEqual(ran, ['+a', '+b', '-a'])
  commands.set('b', { ...peer('b'), add: command('+c') })
  await until(ran, 5)
  t.deepEqual(ran.slice(3), ['-b', '+c'])
  commands.retain(new Set())
  await until(ran, 6)
  t.deepEqual(ran.slice(5), ['-b'])
  t.deepEqual(commands.problems, [])
})

test('Commands runs nothing for a peer before what is run for this host has worked', async (t) => {
  const { ran, commands, keep } = running(t, { '+own': 2 })
  commands.set('a', peer('a'))
  commands.set(Commands.own, { add: command('+own'), remove: undefined })
  void keep()
  await until(ran, 4)
  t.deepEqual(ran, ['+own', '+own', '+own', '+a'])
})

test('Commands says once when this host’s own command has worked, and at once if there is none', async (t) => {
  const { ran, commands, keep } = running(t, { '+own': 2 })
  const told: number[] = []
  commands.setOwn(undefined, () => told.push(-1))
  t.deepEqual(told, [-1])
  commands.setOwn(command('+own'), () => told.push(ran.length))
  t.deepEqual(told, [-1])
  commands.set('a', peer('a'))
  void keep()
  await until(ran, 4)
  t.deepEqual(told, [-1, 3])
})

test('Commands tries again what fails, and says so until it works', async (t) => {
  const { ran, commands, keep } = running(t, { '+a': 3 })
  commands.set('a', peer('a'))
  void keep()
  await until(ran, 1)
  await until(ran, 4)
  t.deepEqual(ran, ['+a', '+a', '+a', '+a'])
  t.deepEqual(commands.problems, [])
})

test('Commands tells what fails, and gives up what cannot be taken back', async (t) => {
  const { ran, commands, keep } = running(t, { '+a': 1e9, '-b': 1e9 })
  commands.set('a', peer('a'))
  commands.set('b', peer('b'))
  void keep()
  await until(ran, 4)
  t.deepEqual(commands.problems, ['+a: exit code 1'])
  commands.set('a', undefined)
  commands.set('b', undefined)
  const removals = (): string[] => ran.filter((name) => name === '-b')
  for (let tries = 0; removals().length < 5 && tries < 500; tries++) await sleep(5)
  await sleep(60)
  t.is(removals().length, 5)
  t.false(ran.includes('-a'), 'what never worked is not taken back')
  t.deepEqual(commands.problems, [])
})

test('Commands runs nothing again that has run when it goes on later', async (t) => {
  const { ran, commands, keep, stop } = running(t)
  commands.set('a', peer('a'))
  void keep()
  await until(ran, 1)
  await stop()
  const again = new AbortController()
  const kept = commands.keep(again.signal)
  commands.set('b', peer('b'))
  await until(ran, 2)
  again.abort()
  await kept
  t.deepEqual(ran, ['+a', '+b'])
})

test('Commands runs what makes the lease’s data once', async (t) => {
  const { ran, commands } = running(t, { key: 1 })
  const { signal } = new AbortController()
  await t.throwsAsync(commands.outputOf(command('key'), signal), { name: 'CommandError' })
  await commands.outputOf(command('key'), signal)
  await commands.outputOf(command('key'), signal)
  await commands.outputOf(command('other'), signal)
  t.deepEqual(ran, ['key', 'key', 'other'])
})

test('runCommand() gives input and environment, and answers both outputs trimmed', async (t) => {
  const { signal } = new AbortController()
  const argv = ['/bin/sh', '-c', 'echo "$SUBNET [$NOTIFY_SOCKET]"; cat; echo err >&2']
  process.env['NOTIFY_SOCKET'] = '/nowhere'
  t.teardown(() => delete process.env['NOTIFY_SOCKET'])
  const output = await runCommand({ argv, env: { SUBNET: '10.5.2.0/24' }, input: 'data' }, signal)
  t.deepEqual(output.split('\n').toSorted(), ['10.5.2.0/24 []', 'data', 'err'])
})

test('runCommand() says how a program failed', async (t) => {
  const { signal } = new AbortController()
  const fails = (...argv: string[]) =>
    t.throwsAsync(runCommand({ argv, env: {}, input: '' }, signal), { name: 'CommandError' })
  t.is(
    (await fails('/bin/sh', '-c', 'echo why; exit 3'))?.message,
    '/bin/sh -c echo why; exit 3: exit code 3: why',
  )
  t.regex((await fails('/no/such/program'))?.message ?? '', /ENOENT/)
  t.regex((await fails('/bin/sh', '-c', 'kill -9 $$'))?.message ?? '', /ended by SIGKILL/)
})

test('runCommand() ends the program with the daemon', async (t) => {
  const stop = new AbortController()
  const running = runCommand({ argv: ['sleep', '1000'], env: {}, input: '' }, stop.signal)
  stop.abort()
  await t.throwsAsync(running, { name: 'CommandError' })
})

/** A folder for what commands leave, gone after the test. */
async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'heddle-commands-'))
  t.teardown(() => rm(path, { recursive: true }))
  return path
}

const quiet = new AbortController().signal

test('runCommand() waits for no child that a program leaves behind, and leaves it alone', async (t) => {
  const place = await folder(t)
  const script = `{ while ! test -e ${place}/go; do sleep 0.05; done; touch ${place}/went; sleep 30; } & echo $!`
  const started = performance.now()
  const id = await runCommand({ argv: ['/bin/sh', '-c', script], env: {}, input: '' }, quiet)
  t.teardown(() => process.kill(Number(id), 'SIGKILL'))
  t.true(performance.now() - started < 15_000)
  await runCommand({ argv: ['touch', `${place}/go`], env: {}, input: '' }, quiet)
  for (let tries = 0; !existsSync(`${place}/went`) && tries < 500; tries++) await sleep(20)
  t.true(existsSync(`${place}/went`))
})

function isRunning(id: string): boolean {
  return existsSync(`/proc/${id}/fd/0`)
}

for (const how of ['abort', 'timeout'] as const) {
  test(`runCommand() ends a program with all it started on ${how}`, async (t) => {
    const place = join(await folder(t), 'ids')
    const stop = new AbortController()
    const argv = ['/bin/sh', '-c', 'sleep 1000 & echo $$ $! >"$PLACE"; wait']
    const timeoutMs = how === 'timeout' ? 3_000 : 60_000
    const running = runCommand({ argv, env: { PLACE: place }, input: '' }, stop.signal, {
      timeoutMs,
    })
    const failure = t.throwsAsync(running, { name: 'CommandError' })
    const read = () => (existsSync(place) ? readFileSync(place, 'utf8').trim().split(' ') : [])
    let ids = read()
    for (let tries = 0; ids.length < 2 && tries < 500; tries++) {
      await sleep(10)
      ids = read()
    }
    t.is(ids.length, 2)
    if (how === 'abort') stop.abort()
    t.regex((await failure)?.message ?? '', how === 'abort' ? /with the daemon$/ : /after 3 s$/)
    for (let tries = 0; ids.some(isRunning) && tries < 500; tries++) await sleep(10)
    t.deepEqual(ids.filter(isRunning), [])
  })
}

test('runCommand() fails as commands do where no program can be started', async (t) => {
  const fails = async (...argv: string[]) => {
    const running = runCommand({ argv, env: {}, input: '' }, quiet)
    return (await t.throwsAsync(running, { name: 'CommandError' }))?.message ?? ''
  }
  t.regex(await fails('', 'up'), /^\["","up"\] names no program/)
  t.regex(await fails('tr\0ue'), /null bytes/)
  t.regex(await fails('/bin/sh/x'), /ENOTDIR/)
  t.regex(await fails('true', 'x'.repeat(1 << 20)), /E2BIG/)
})

test('runCommand() tells the last of what a failing program printed, in one line', async (t) => {
  const argv = ['/bin/sh', '-c', 'seq 1 20000; echo the end; exit 1']
  const error = await t.throwsAsync(runCommand({ argv, env: {}, input: '' }, quiet))
  t.regex(error?.message ?? '', /20000 the end$/)
  t.true((error?.message ?? '').length < 1200)
  t.notRegex(error?.message ?? '', /\n/)
})

test('runCommand() keeps the store’s secrets to the daemon', async (t) => {
  process.env['FLANNELD_ETCD_PASSWORD'] = 'secret'
  t.teardown(() => delete process.env['FLANNELD_ETCD_PASSWORD'])
  const printed = await runCommand({ argv: ['env'], env: {}, input: '' }, quiet)
  t.notRegex(printed, /secret/)
  t.regex(printed, /^PATH=/m)
  const { commands } = createBackend({
    config: { type: 'extension', options: { subnetaddcommand: 'echo $FLANNELD_ETCD_PASSWORD.' } },
    uplinks: {},
    macFor: () => {
      throw new Error('no device is asked for')
    },
  })
  const made = commands?.peer({})
  t.deepEqual(made && 'add' in made ? made.add?.argv : made, ['echo', '.'])
})

test('a command of the extension backend holds no NUL byte', (t) => {
  const backendOf = (command: unknown) => () =>
    createBackend({
      config: { type: 'extension', options: { subnetaddcommand: command } },
      uplinks: {},
      macFor: () => {
        throw new Error('no device is asked for')
      },
    })
  for (const bad of ['echo a\0b', ['echo', 'a\0b']]) {
    t.throws(backendOf(bad), { name: 'ConfigError', message: /SubnetAddCommand must be a list/ })
  }
  t.notThrows(backendOf('echo a'))
})
