import { mkdirSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { DuplicateAllocation, PoolExhausted, ReservationMissing } from '../../ipam/errors.ts'
import { Net } from './ipam-net.ts'

/** Five usable addresses and three: the second range spans its broadcast address. */
const ranges = [
  { subnet: '10.1.2.0/29' },
  { subnet: '10.1.3.0/29', rangeStart: '10.1.3.4', rangeEnd: '10.1.3.7' },
]
const usable = [
  ...[2, 3, 4, 5, 6].map((host) => `10.1.2.${host}`),
  ...[4, 5, 6].map((host) => `10.1.3.${host}`),
]

/** What happens to the folder; `who` is a container, `pick` chooses among the free addresses. */
interface Action {
  readonly kind: keyof typeof weights
  readonly who: number
  readonly pick: number
}

const weights = {
  add: 10,
  del: 6,
  collect: 1,
  foreignAdd: 4,
  /** By a host-local before 0.8, which wrote no interface. */
  oldAdd: 1,
  foreignDel: 4,
  foreignRemnant: 1,
  killedBeforeLock: 1,
  killedAdd: 2,
  killedDel: 2,
  reboot: 2,
  loseSidecar: 1,
  loseState: 1,
  tearState: 1,
  touch: 1,
} as const

const actions = fc.record({
  kind: fc.oneof(
    ...Object.entries(weights).map(([kind, weight]) => ({
      weight,
      arbitrary: fc.constant(kind as Action['kind']),
    })),
  ),
  who: fc.nat(9),
  pick: fc.nat(99),
})

/**
 * Whose an address is, and in which boot heddle reserved it: `unmarked` for what somebody else did
 * or heddle does not remember as its own, `unsure` for what a killed ADD left.
 */
interface Holder {
  readonly text: string
  readonly boot: number | 'unmarked' | 'unsure'
}

/** A folder beside the model of what it holds. */
class World {
  readonly net: Net
  readonly #t: ExecutionContext
  readonly #holders = new Map<string, Holder>()
  #boot = 0
  #noticed = 0

  constructor(t: ExecutionContext) {
    this.#t = t
    this.net = new Net(t, { ranges: [ranges] })
  }

  readonly #steps: Readonly<Record<Action['kind'], (id: string, pick: number) => void>> = {
    add: (id) => {
      this.#noticeReboot()
      if (this.#heldBy(id).length > 0) {
        this.#t.throws(() => this.net.add(id), { instanceOf: DuplicateAllocation })
      } else if (this.#holders.size === usable.length) {
        this.#t.throws(() => this.net.add(id), { instanceOf: PoolExhausted })
      } else {
        const [address = ''] = this.net.addresses(id).map((text) => text.replace('/29', ''))
        this.#t.true(usable.includes(address), address)
        this.#t.false(this.#holders.has(address), `${address} twice`)
        this.#holders.set(address, { text: `${id}\r\neth0`, boot: this.#boot })
      }
    },
    del: (id) => {
      this.#noticeReboot()
      this.net.del(id)
      for (const address of this.#heldBy(id)) this.#holders.delete(address)
    },
    collect: (_, pick) => {
      this.#noticeReboot()
      const keep = Array.from({ length: 10 }, (_, who) => `c${who}`).filter(
        (_, who) => (pick >> who) & 1,
      )
      this.net.collect(...keep)
      for (const [address, { text }] of this.#holders) {
        if (!keep.includes(text.split('\r')[0] ?? '')) this.#holders.delete(address)
      }
    },
    foreignAdd: (id, pick) => this.#foreignAdd(id, `${id}\r\neth0`, pick),
    oldAdd: (id, pick) => this.#foreignAdd(id, id, pick),
    foreignDel: (id) => {
      for (const address of this.#heldBy(id)) this.#unlink(address)
    },
    foreignRemnant: (_, pick) => {
      const address = this.#free(pick)
      if (address !== undefined) this.net.write(address, '')
    },
    killedBeforeLock: (id) => void this.net.killedBeforeLock(id),
    killedAdd: (id, pick) => {
      // It has looked through the folder, under the lock, before it reserved anything.
      this.#noticeReboot()
      mkdirSync(this.net.folder, { recursive: true })
      this.#look()
      const address = this.#free(pick)
      if (address === undefined || this.#heldBy(id).length > 0) return
      this.net.killedAdd(id, address)
      this.#holders.set(address, { text: `${id}\r\neth0`, boot: 'unsure' })
    },
    killedDel: (id) => {
      this.#noticeReboot()
      this.#look()
      const [address] = this.#heldBy(id)
      if (address !== undefined) this.#unlink(address)
    },
    reboot: () => {
      this.net.reboot()
      this.#boot++
    },
    loseSidecar: () => {
      rmSync(join(this.net.dataDir, '.heddle'), { recursive: true, force: true })
      this.#unmark('unsure')
    },
    loseState: () => {
      rmSync(join(this.net.sidecar, 'state'), { force: true })
      this.#unmark()
    },
    tearState: () => {
      const state = join(this.net.sidecar, 'state')
      rmSync(state, { force: true })
      this.net.killedBeforeLock('nobody')
      symlinkSync('1 0', state)
      this.#unmark()
    },
    touch: () => {
      this.net.write('10.9.9.9', 'x')
      this.net.unlink('10.9.9.9')
      utimesSync(this.net.folder, new Date(), new Date())
    },
  }

  step({ kind, who, pick }: Action): void {
    this.#steps[kind](`c${who}`, pick)
    if (this.#noticed !== this.#boot) return
    const held = Object.entries(this.net.files()).filter(([, text]) => text !== '')
    const expected = [...this.#holders].map(([address, { text }]) => [address, text])
    this.#t.deepEqual(Object.fromEntries(held), Object.fromEntries(expected), kind)
  }

  /** CHECK finds what the model has and nothing else; after everybody's DEL nothing is left. */
  finish(): void {
    this.#noticeReboot()
    for (let who = 0; who < 10; who++) {
      const id = `c${who}`
      if (this.#heldBy(id).length > 0) this.#t.notThrows(() => this.net.check(id))
      else this.#t.throws(() => this.net.check(id), { instanceOf: ReservationMissing })
    }
    for (let who = 0; who < 10; who++) this.net.del(`c${who}`)
    const left = Object.values(this.net.files()).filter((text) => text !== '')
    this.#t.deepEqual(left, [])
    this.#t.deepEqual(this.net.pins(), [])
    this.net.remove()
  }

  /** Any call of heddle's. */
  #look(): void {
    this.#t.throws(() => this.net.check('nobody'), { instanceOf: ReservationMissing })
  }

  /** What heddle's next call will have freed. */
  #noticeReboot(): void {
    if (this.#noticed === this.#boot) return
    this.#noticed = this.#boot
    for (const [address, { boot }] of this.#holders) {
      if (typeof boot === 'number') this.#holders.delete(address)
    }
    const unsure = [...this.#holders].filter(([, { boot }]) => boot === 'unsure')
    if (unsure.length === 0) return
    this.#look()
    const files = this.net.files()
    for (const [address] of unsure) if (!files[address]) this.#holders.delete(address)
  }

  #unmark(also?: 'unsure'): void {
    for (const [address, { text, boot }] of this.#holders) {
      if (boot !== 'unsure' || also) this.#holders.set(address, { text, boot: 'unmarked' })
    }
  }

  #foreignAdd(id: string, text: string, pick: number): void {
    const address = this.#free(pick)
    if (address === undefined || this.#heldBy(id).length > 0) return
    this.net.write(address, text)
    this.#holders.set(address, { text, boot: 'unmarked' })
  }

  #unlink(address: string): void {
    this.net.unlink(address)
    this.#holders.delete(address)
  }

  #heldBy(id: string): string[] {
    const own = [...this.#holders].filter(([, { text }]) => text.split('\r')[0] === id)
    return own.map(([address]) => address)
  }

  #free(pick: number): string | undefined {
    const files = this.net.files()
    const free = usable.filter((address) => files[address] === undefined)
    return free[pick % free.length]
  }
}

test('whatever heddle, host-local, kills and restarts do, no address is doubled or lost', (t) => {
  fc.assert(
    fc.property(fc.array(actions, { maxLength: 60 }), (sequence) => {
      const world = new World(t)
      for (const action of sequence) world.step(action)
      world.finish()
    }),
    { numRuns: 200 },
  )
})
