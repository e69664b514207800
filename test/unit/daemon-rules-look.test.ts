import test from 'ava'
import { RulesLook } from '../../daemon/firewall/rules-look.ts'
import type { Logger } from '../../log/logger.ts'
import { silent } from '../../log/logger.ts'
import { NetlinkError } from '../../netlink/errors.ts'

function look() {
  const told: string[] = []
  const log: Logger = {
    ...silent,
    error: (message, fields) => told.push(`${message} ${fields?.['error']}`),
  }
  return { told, it: new RulesLook({ whose: 'firewall:', failure: 'not written' }, log) }
}

const failing = (errno: number) => () => {
  throw new NetlinkError({ op: 'read table', errno, source: 'kernel' })
}

test('RulesLook: a failure is a problem, told once, until a look works', (t) => {
  const { told, it } = look()
  t.is(it.run(failing(1)), 'failed')
  t.is(it.run(failing(1)), 'failed')
  t.deepEqual(told, ['not written firewall: Cannot read table: operation not permitted (EPERM)'])
  t.is(it.problem, 'firewall: Cannot read table: operation not permitted (EPERM)')
  t.is(
    it.run(() => 'written'),
    'written',
  )
  t.is(it.problem, undefined)
})

test('RulesLook: a ruleset that changes meanwhile is told only when it does so each time', (t) => {
  const { told, it } = look()
  for (let n = 0; n < 4; n++) t.is(it.run(failing(4)), 'failed')
  t.is(it.problem, undefined)
  t.is(
    it.run(() => 'unchanged'),
    'unchanged',
  )
  for (let n = 0; n < 4; n++) it.run(failing(4))
  t.deepEqual(told, [])
  it.run(failing(4))
  t.is(told.length, 1)
  t.regex(it.problem ?? '', /EINTR/)
})
