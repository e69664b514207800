import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../log/logger.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import { machineClock } from '../../store/sqlite/sqlite-clock.ts'
import type { Store } from '../../store/store.ts'

const YEAR_MS = 365 * 24 * 3600 * 1000

/** A machine whose clocks stand still until a test moves them. */
class FakeMachine {
  bootId = 'boot-1'
  #wallMs = 1_000_000
  #bootMs = 5000

  readonly wallMs = () => this.#wallMs
  readonly bootMs = () => this.#bootMs

  pass(ms: number): void {
    this.#wallMs += ms
    this.#bootMs += ms
  }

  /** Somebody sets the clock. */
  set(ms: number): void {
    this.#wallMs += ms
  }

  reboot(wallStepMs: number): void {
    this.bootId += '+1'
    this.#wallMs += wallStepMs
    this.#bootMs = 3000
  }
}

function openWith(t: ExecutionContext): { store: Store; machine: FakeMachine } {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-clock-'))
  const machine = new FakeMachine()
  const store = openSqliteStore(join(folder, 'store.db'), silent, { clock: machine })
  t.teardown(async () => {
    await store[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
  return { store, machine }
}

async function isThere(store: Store): Promise<boolean> {
  return (await store.get('/a')) !== undefined
}

test('a key expires when its time to live has passed', async (t) => {
  const { store, machine } = openWith(t)
  await store.create('/a', '', { ttlSeconds: 60 })
  machine.pass(59_999)
  t.true(await isThere(store))
  machine.pass(1)
  t.false(await isThere(store))
})

for (const [direction, step] of [
  ['forward', 20 * YEAR_MS],
  ['back', -500_000],
] as const) {
  test(`a clock that is set ${direction} changes no time to live`, async (t) => {
    const { store, machine } = openWith(t)
    const made = await store.create('/a', '', { ttlSeconds: 60 })
    machine.set(step)
    t.is((await store.get('/a'))?.expiresAt, (made?.expiresAt ?? 0) + step)
    machine.pass(59_999)
    t.true(await isThere(store))
    machine.pass(1)
    t.false(await isThere(store))
  })
}

test('a step of the clock is seen by the write that comes first after it', async (t) => {
  const { store, machine } = openWith(t)
  await store.create('/a', '', { ttlSeconds: 60 })
  machine.set(YEAR_MS)
  t.is(await store.create('/a', ''), undefined)
})

test('over a reboot the wall clock goes on', async (t) => {
  const { store, machine } = openWith(t)
  await store.create('/a', '', { ttlSeconds: 60 })
  machine.reboot(59_999)
  t.true(await isThere(store))
  machine.reboot(1)
  t.false(await isThere(store))
})

test('a clock that begins anew with a reboot makes no key live longer than its time', async (t) => {
  const { store, machine } = openWith(t)
  await store.create('/a', '', { ttlSeconds: 60 })
  machine.reboot(-900_000)
  t.true(await isThere(store))
  machine.pass(60_000)
  t.false(await isThere(store))
})

test('machineClock() reads clocks that run', (t) => {
  const clock = machineClock()
  t.regex(clock.bootId, /^[\da-f-]{36}$/)
  t.true(clock.bootMs() > 0 && clock.bootMs() < clock.wallMs())
})
