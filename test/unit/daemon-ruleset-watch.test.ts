import test, { type ExecutionContext } from 'ava'
import type { Outcome } from '../../daemon/firewall/rules-look.ts'
import { type Concern, concernsOf, RulesetWatch } from '../../daemon/firewall/ruleset-watch.ts'
import type { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import type { RulesetEvent } from '../../netlink/nftables/events.ts'

/** The kernel's ruleset as far as a watch asks for it: the number of its generation. */
class Ruleset {
  generation = 1
  refuses = false
  readonly looks: Concern[] = []
  /** What each look at these rules comes to; a look that writes makes a generation. */
  readonly outcomes: Record<Concern, Outcome[]> = { own: [], plugin: [] }

  readonly connection = {
    get: () => {
      if (this.refuses) throw new NetlinkError({ op: 'get', errno: 22, source: 'kernel' })
      return this.generation
    },
  } as unknown as Connection

  keeper(concern: Concern) {
    return {
      sync: () => {
        this.looks.push(concern)
        const outcome = this.outcomes[concern].shift() ?? 'unchanged'
        if (outcome === 'written') this.generation++
        return outcome
      },
    }
  }

  /** The events of somebody's transaction. */
  change(table: string, what: Partial<Extract<RulesetEvent, { table: string }>> = {}) {
    this.generation++
    return [
      { kind: 'rule', gone: true, family: 'inet', table, ...what } as const,
      { kind: 'generation', id: this.generation } as const,
    ]
  }
}

const hour = 3_600_000

function watchFor(t: ExecutionContext, everyMs = hour) {
  const ruleset = new Ruleset()
  const kept = { own: ruleset.keeper('own'), plugin: ruleset.keeper('plugin') }
  const { connection } = ruleset
  const told = { repairs: 0 }
  const onRepair = () => void told.repairs++
  const watch = new RulesetWatch({ instance: 'default', connection, kept, everyMs, onRepair })
  const stop = new AbortController()
  const running = watch.keep(stop.signal)
  t.teardown(async () => {
    stop.abort()
    await running
  })
  return { ruleset, watch, told }
}

/** Long enough for a look, and for the pause after it. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 400))

test('RulesetWatch: looks once at first, and then only when something of ours changed', async (t) => {
  const { ruleset, watch } = watchFor(t)
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin'])
  watch.onEvents(ruleset.change('heddle-net-default'))
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin', 'own'])
  watch.onEvents(ruleset.change('heddle-cni'))
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin', 'own', 'plugin'])
  watch.onEvents(ruleset.change('somebody’s'))
  watch.onEvents(ruleset.change('heddle-net-other'))
  watch.onEvents(ruleset.change('heddle-cni', { kind: 'element' }))
  watch.onEvents(ruleset.change('heddle-cni', { gone: false }))
  await pause()
  t.is(ruleset.looks.length, 4)
})

test('RulesetWatch: somebody else’s transactions are no reason to look even when it is time to', async (t) => {
  const { ruleset, watch } = watchFor(t, 50)
  await pause()
  for (let i = 0; i < 5; i++) watch.onEvents(ruleset.change('somebody’s'))
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin'])
})

test('RulesetWatch: looks a second after elements of the plugin’s went, once for many', async (t) => {
  const { ruleset, watch } = watchFor(t)
  await pause()
  for (let i = 0; i < 5; i++) {
    watch.onEvents(ruleset.change('heddle-cni', { kind: 'element', gone: true }))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.deepEqual(ruleset.looks, ['own', 'plugin'])
  for (let tries = 0; ruleset.looks.length < 3 && tries < 30; tries++) await pause()
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin', 'plugin'])
})

test('RulesetWatch: looks at elements that came when it is time to', async (t) => {
  const { ruleset, watch } = watchFor(t, 600)
  await pause()
  watch.onEvents(ruleset.change('heddle-cni', { kind: 'element', gone: false }))
  await pause()
  await pause()
  t.deepEqual(ruleset.looks.slice(2), ['plugin'])
})

test('RulesetWatch: tells of each time that rules had to be written again', async (t) => {
  const { ruleset, watch, told } = watchFor(t)
  await pause()
  t.is(told.repairs, 0)
  ruleset.outcomes.plugin.push('written')
  watch.onEvents(ruleset.change('heddle-cni'))
  await pause()
  t.is(told.repairs, 1)
})

test('RulesetWatch: its own writing is no reason to look again, somebody else’s after it is', async (t) => {
  const { ruleset, watch } = watchFor(t)
  await pause()
  ruleset.outcomes.own.push('written')
  watch.onEvents(ruleset.change('heddle-net-default'))
  await pause()
  // Once to write, and once to see that nobody was faster.
  t.deepEqual(ruleset.looks.slice(2), ['own', 'own'])
  const own = { kind: 'rule', gone: false, family: 'inet', table: 'heddle-net-default' } as const
  watch.onEvents([own, { kind: 'generation', id: ruleset.generation }])
  await pause()
  t.is(ruleset.looks.length, 4)
  watch.onEvents(ruleset.change('heddle-net-default'))
  await pause()
  t.is(ruleset.looks.length, 5)
})

test('RulesetWatch: a burst of transactions is looked at once, and once more after a pause', async (t) => {
  const { ruleset, watch } = watchFor(t)
  await pause()
  for (let i = 0; i < 50; i++) {
    watch.onEvents(ruleset.change('heddle-net-default'))
    await new Promise((resolve) => setTimeout(resolve, 4))
  }
  await pause()
  const looks = ruleset.looks.slice(2)
  t.true(looks.length >= 1 && looks.length <= 3, `${looks.length} looks`)
})

test('RulesetWatch: events that were lost may have told of anything', async (t) => {
  const { ruleset, watch } = watchFor(t)
  await pause()
  ruleset.generation++
  watch.onLost()
  await pause()
  t.deepEqual(ruleset.looks.slice(2), ['own', 'plugin'])
  watch.onLost()
  await pause()
  t.is(ruleset.looks.length, 4, 'the generation says that nothing has changed')
})

test('RulesetWatch: looks now and then where there is a new generation, or none is told', async (t) => {
  const { ruleset } = watchFor(t, 50)
  await pause()
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin'])
  ruleset.generation++
  await pause()
  t.deepEqual(ruleset.looks, ['own', 'plugin', 'own', 'plugin'])
  ruleset.refuses = true
  await pause()
  await pause()
  t.true(ruleset.looks.length > 4)
})

test('RulesetWatch: what failed is tried again at the next look', async (t) => {
  const { ruleset, watch } = watchFor(t, 50)
  ruleset.outcomes.own.push('failed', 'failed')
  await pause()
  await pause()
  await pause()
  t.deepEqual(
    ruleset.looks.filter((look) => look === 'own').length >= 3,
    true,
    'the generation is the same, and yet it looks',
  )
  watch.onEvents([])
})

test('concernsOf: iptables’ tables hold accept rules, ours and the plugin’s', (t) => {
  const filter = { family: 'ip', table: 'filter' } as const
  t.deepEqual(concernsOf({ ...filter, kind: 'rule', gone: true }, 'x'), ['own', 'plugin'])
  t.deepEqual(concernsOf({ ...filter, kind: 'chain', gone: false }, 'x'), ['own', 'plugin'])
  t.deepEqual(concernsOf({ ...filter, kind: 'rule', gone: false }, 'x'), [])
  t.deepEqual(concernsOf({ ...filter, family: 'inet', kind: 'rule', gone: true }, 'x'), [])
})
