import test, { type ExecutionContext } from 'ava'
import type { Uplink } from '../../daemon/backend/backend.ts'
import { type Chapter, type ChapterTools, nextChapter } from '../../daemon/chapter.ts'
import { readConfig } from '../../daemon/config/network-config.ts'
import { hostClock } from '../../daemon/host/clock.ts'
import { StateError } from '../../daemon/host/files.ts'
import type { Host } from '../../daemon/host/host.ts'
import { giveBackNew } from '../../daemon/serve.ts'
import { type Situation, SituationWatch } from '../../daemon/situation.ts'
import { parseAddress } from '../../ip/address.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import { silent } from '../../log/logger.ts'
import { EINTR, NetlinkError } from '../../netlink/errors.ts'
import { StoreError } from '../../store/store.ts'
import { MemoryStore } from './memory-store.ts'

const KEY = '/net/config'
const V4 = { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } }
const DUAL = { ...V4, EnableIPv6: true, IPv6Network: 'fc00::/48' }

const interrupted = new NetlinkError({ op: 'list links', errno: EINTR, source: 'kernel' })

function uplinks(): ByFamily<Uplink> {
  const address = parseAddress('192.168.0.1')
  if (!address) throw new Error('no address')
  return { 4: { index: 2, name: 'eth0', mtu: 1500, address, publicIP: address } }
}

function situation(config: object): Situation {
  const text = JSON.stringify(config)
  const found = { text, config: readConfig(text, { key: KEY, local: false }) }
  return { found, uplinks: uplinks() }
}

/** As much of a host as a change needs; nothing can be asked of its kernel, or kept on its disk. */
function hostWith(store: MemoryStore): { host: Host; told: (string | undefined)[] } {
  const told: (string | undefined)[] = []
  const host = {
    ...{ store, log: silent, clock: hostClock, isLocal: false, manager: {} },
    settings: { storePrefix: '/net', instance: 'test', uplink: { ifaces: ['eth0'], regexes: [] } },
    route: {
      dump: () => {
        throw interrupted
      },
      get: () => {
        throw interrupted
      },
    },
    macs: {
      for: () => {
        throw new StateError('cannot write macs.json: no space left')
      },
    },
    telemetry: { configChanges: { add: () => {} } },
    board: {
      publish: () => {},
      configRefused: (refused?: { reason: string }) => told.push(refused?.reason),
    },
  }
  return { host: host as unknown as Host, told }
}

/** A watch at work until the test ends; how its wait for a change ended. */
function watching(t: ExecutionContext, host: Host): Promise<Situation | undefined> {
  const watch = new SituationWatch(host)
  const end = new AbortController()
  const work = [watch.follow(end.signal), watch.next(situation(V4), end.signal)] as const
  t.teardown(async () => {
    end.abort()
    await Promise.allSettled(work)
  })
  return work[1]
}

test('a host that cannot be looked at keeps its network, and ends no daemon', async (t) => {
  const store = new MemoryStore()
  await store.create(KEY, JSON.stringify(DUAL))
  const { host, told } = hostWith(store)
  const ended = watching(t, host)
  const failed = ended.then(
    () => 'ended',
    (error: unknown) => String(error),
  )
  const late = Promise.withResolvers<void>()
  host.board.configRefused = (refused) => {
    told.push(refused?.reason)
    late.resolve()
  }
  t.is(await Promise.race([failed, late.promise]), undefined)
  t.deepEqual(told, [interrupted.message])
})

for (const [what, presentMac, reason] of [
  ['kernel that gives no answer', true, interrupted.message],
  ['disk that is full', false, 'cannot write macs.json: no space left'],
] as const) {
  test(`a change that meets a ${what} leaves all as it was`, async (t) => {
    const { host } = hostWith(new MemoryStore())
    if (!presentMac) {
      Object.assign(host.route, {
        get: () => ({ index: 3, name: 'flannel.1', kind: 'vxlan' }),
        dump: () => [],
      })
    }
    const failures: string[] = []
    const tools = {
      ...{ claimed: new Set<string>(), signal: new AbortController().signal },
      watch: { failed: (_: unknown, __: unknown, why: string) => failures.push(why) },
    }
    const before = situation(V4) as Chapter
    const next = situation({ ...V4, Backend: { Type: 'vxlan', MTU: 1400 } })
    t.is(await nextChapter(host, before, next, tools as unknown as ChapterTools), before)
    t.deepEqual(failures, [reason])
  })
}

test('giveBackNew() hides no error behind a store that is away', async (t) => {
  const fails = (error: Error) => ({ release: () => Promise.reject(error) })
  await t.notThrowsAsync(
    giveBackNew(fails(new StoreError('unavailable', 'memory', 'away')), silent),
  )
  await t.throwsAsync(giveBackNew(fails(new TypeError('ours')), silent), { name: 'TypeError' })
})
