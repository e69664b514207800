import { once } from 'node:events'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import type { Filter } from '../../netlink/filter.ts'
import type { Link } from '../../netlink/link.ts'
import type { Qdisc } from '../../netlink/qdisc.ts'
import { run } from '../../scripts/lab/run.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')
const script = (name: string) => join(import.meta.dirname, name)

interface Shaped {
  readonly errors: readonly string[]
  readonly veth: readonly Qdisc[]
  readonly ifbs: readonly Link[]
  readonly filters: readonly Filter[]
}

/** Two namespaces with a veth pair between them: 10.77.0.1 on the host's end, .2 on the other. */
class Pair {
  readonly host: string
  readonly peer: string

  constructor(t: ExecutionContext, name: string) {
    this.host = `heddle-tc-${name}-${process.pid}`
    this.peer = `${this.host}-p`
    t.teardown(async () => {
      for (const netns of [this.host, this.peer]) {
        await execa('ip', ['netns', 'del', netns], { reject: false })
      }
    })
  }

  async start(): Promise<this> {
    await run(['ip', 'netns', 'add', this.host])
    await run(['ip', 'netns', 'add', this.peer])
    const veth = ['link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'eth0']
    await run(['ip', '-n', this.host, ...veth, 'netns', this.peer])
    for (const [netns, dev, address] of [
      [this.host, 'veth0', '10.77.0.1/24'],
      [this.peer, 'eth0', '10.77.0.2/24'],
    ] as const) {
      await run(['ip', '-n', netns, 'address', 'add', address, 'dev', dev])
      await run(['ip', '-n', netns, 'link', 'set', dev, 'up'])
    }
    return this
  }

  /** heddle's own code, in the host's namespace. */
  async probe(verb: string): Promise<unknown> {
    const command = [
      bun,
      'run',
      script('netlink-traffic-probe.ts'),
      verb,
      `/run/netns/${this.peer}`,
    ]
    return JSON.parse(await run(['ip', 'netns', 'exec', this.host, ...command])) as unknown
  }

  /** Milliseconds that a megabyte takes, the fastest of three: a busy machine is slow, and never quick. */
  async fastest(from: 'host' | 'peer'): Promise<number> {
    const taken: number[] = []
    for (let turn = 0; turn < 3; turn++) taken.push(await this.transfer(from))
    return Math.min(...taken)
  }

  /** Milliseconds that a megabyte takes. */
  async transfer(from: 'host' | 'peer'): Promise<number> {
    const [source, target] = from === 'host' ? [this.host, this.peer] : [this.peer, this.host]
    const end = [from === 'host' ? '10.77.0.2' : '10.77.0.1', '7777']
    const inside = (netns: string, ...args: string[]) =>
      ['netns', 'exec', netns, bun, 'run', script('netlink-transfer.ts'), ...args] as const
    const server = execa('ip', inside(target, 'serve', ...end), { reject: false })
    try {
      await once(server.stdout, 'data')
      const sent = await run(['ip', ...inside(source, 'send', ...end, '1000000')])
      return Number(sent)
    } finally {
      server.kill('SIGKILL')
      await server
    }
  }
}

test('tbf and a redirection to an ifb: limit what a container receives and what it sends', async (t) => {
  const pair = await new Pair(t, 'shape').start()
  for (const from of ['host', 'peer'] as const) t.true((await pair.fastest(from)) < 500, from)

  const shaped = (await pair.probe('shape')) as Shaped
  const isMissing = shaped.errors[5] === 'ENOENT'
  t.deepEqual(shaped.errors.toSpliced(5, 1), Array(8).fill('done'))
  t.true(isMissing || shaped.errors[5] === 'done', 'a kernel without fq_codel says ENOENT')
  t.like(shaped.veth[0], { kind: 'tbf', handle: 0x10000, tbf: { rate: 1e6, limit: 131072 } })
  t.true(shaped.veth.some(({ kind }) => kind === 'ingress'))
  t.is(shaped.ifbs.length, 1)
  t.like(shaped.ifbs[0], { name: 'ifb0', alias: 'heddle shaping', group: 77, up: true })
  t.is(shaped.filters.length, 1)
  t.is(shaped.filters[0]?.redirectsTo, shaped.ifbs[0]?.index)
  const printed = await run(['tc', '-n', pair.host, 'qdisc', 'show', 'dev', 'ifb0'])
  t.regex(printed, /tbf 1: root .*rate 8Mbit burst 6\d\.?\d*Kb/)
  t.regex(printed, /bfifo 2: parent 1:1 limit 128Kb/)

  // A megabyte but for the burst, at a megabyte a second.
  for (const from of ['host', 'peer'] as const) {
    const took = await pair.transfer(from)
    t.true(took > 800, `from the ${from}: ${took} ms`)
  }

  t.deepEqual(((await pair.probe('unshape')) as Shaped).errors, [
    ...['done', 'ENOENT', 'done', 'ENOENT', 'done', 'ENODEV'],
  ])
  for (const from of ['host', 'peer'] as const) t.true((await pair.fastest(from)) < 500, from)
})

test('redirectIngress: takes effect where somebody else has clsact', async (t) => {
  const pair = await new Pair(t, 'clsact').start()
  t.deepEqual(await pair.probe('besideClsact'), { errors: ['EINVAL', 'done'], filters: 1 })
})

test('addLink: a macvlan is born in the namespace of its container', async (t) => {
  const pair = await new Pair(t, 'macvlan').start()
  const found = (await pair.probe('macvlan')) as {
    inside: Link
    outside: readonly Link[]
    parent: number
  }
  t.like(found.inside, {
    name: 'eth9',
    kind: 'macvlan',
    mtu: 1300,
    linkIndex: found.parent,
    macvlan: { mode: 'bridge', bcQueueLength: 500 },
  })
  t.deepEqual(found.outside, [])
})

test('deleteLinks: a whole group goes in one operation', async (t) => {
  const pair = await new Pair(t, 'group').start()
  t.deepEqual(await pair.probe('group'), { errors: 0, left: 0 })
})
