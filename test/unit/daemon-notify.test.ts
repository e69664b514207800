import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { openNotifier } from '../../daemon/host/notify.ts'
import { StatusFile } from '../../daemon/host/subnet-file.ts'
import { StatusBoard } from '../../daemon/status/status-board.ts'
import { newTelemetry } from '../../daemon/status/telemetry.ts'
import { silent } from '../../log/logger.ts'
import { remembering } from '../../log/recent.ts'

const env = { NOTIFY_SOCKET: '/run/systemd/notify' }

/** A notifier and what it told. */
function notifier(more: Readonly<Record<string, string>> = {}) {
  const told: string[] = []
  const notify = (path: string | undefined, state: string): boolean => {
    told.push(`${path} ${state}`)
    return true
  }
  return { told, notifier: openNotifier({ ...env, ...more }, notify) }
}

test('Notifier tells READY, STOPPING, and a status once as long as it is the same', (t) => {
  const { told, notifier: one } = notifier()
  one.status('waiting for the store')
  one.status('waiting for the store')
  one.status('10.244.5.0/24,\n3 peers')
  one.ready()
  one.stopping()
  t.deepEqual(told, [
    '/run/systemd/notify STATUS=waiting for the store',
    '/run/systemd/notify STATUS=10.244.5.0/24, 3 peers',
    '/run/systemd/notify READY=1',
    '/run/systemd/notify STOPPING=1',
  ])
})

test('Notifier.watch() feeds the watchdog while nothing is wrong', async (t) => {
  const { told, notifier: one } = notifier({ WATCHDOG_USEC: '4000' })
  const faults: string[] = []
  let asked = 0
  using watch = one.watch(() => {
    asked += 1
    return faults[0]
  }, silent)
  t.truthy(watch)
  while (told.length < 3) await sleep(1)
  t.is(told[0], '/run/systemd/notify WATCHDOG=1')
  faults.push('netlink does not answer')
  const before = { told: told.length, asked }
  while (asked < before.asked + 3) await sleep(1)
  t.is(told.length, before.told)
})

for (const more of [{}, { WATCHDOG_USEC: '' }, { WATCHDOG_USEC: '4000', WATCHDOG_PID: '1' }]) {
  test(`Notifier.watch() feeds nobody with ${JSON.stringify(more)}`, async (t) => {
    const { told, notifier: one } = notifier(more)
    using watch = one.watch(() => undefined, silent)
    await sleep(20)
    t.truthy(watch)
    t.deepEqual(told, [])
  })
}

test('StatusBoard.onPublish() tells what is waited for', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-board-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const subnetFile = join(folder, 'subnet.env')
  const log = remembering(silent)
  const board = new StatusBoard(
    {
      ...{ version: '0', instance: 'default', nodeId: 'n', subnetFile, log },
      ...{ store: { name: 'etcd:x', local: false }, telemetry: newTelemetry() },
      clock: () => ({ boot: 0, wall: 0 }),
    },
    new StatusFile(subnetFile, silent),
  )
  const lines: string[] = []
  board.onPublish((line) => lines.push(line))
  board.waitFor('eth0 has no IPv4 address')
  board.waitFor(undefined)
  board.publish()
  t.deepEqual(lines, ['starting', 'waiting: eth0 has no IPv4 address', 'starting'])
})
