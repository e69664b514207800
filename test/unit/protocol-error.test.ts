import { readFileSync } from 'node:fs'
import test from 'ava'
import { EnvError } from '../../cni/protocol/env.ts'
import {
  CniError,
  describeSystemError,
  IoError,
  renderError,
  toCniError,
} from '../../cni/protocol/error.ts'
import { readVersion } from '../../cni/protocol/versions.ts'
import { RecordVersionError } from '../../conf/attachment-record.ts'
import { ConfigError, DecodeError, UnsupportedFieldError } from '../../conf/errors.ts'
import { SubnetEnvError } from '../../conf/subnet-env.ts'
import { PoolExhausted, ReservationMissing } from '../../ipam/errors.ts'
import { NetlinkError } from '../../netlink/errors.ts'

function thrown(body: () => unknown): unknown {
  try {
    body()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

function named(name: string, more: object = {}): Error {
  return Object.assign(new Error('it'), { name }, more)
}

function netlink(errno: number): NetlinkError {
  return new NetlinkError({ op: 'add link x', errno, source: 'kernel' })
}

const codes: readonly [error: unknown, code: number][] = [
  [thrown(() => readVersion('9')), 1],
  [new UnsupportedFieldError('vlan', 5, 'no'), 2],
  [new EnvError(['CNI_PATH'], 'x'), 4],
  [new IoError('read', 'stdin', 'closed'), 5],
  [thrown(() => readFileSync('/none')), 5],
  [named('SyscallError'), 5],
  [new DecodeError('x'), 6],
  [new ConfigError('mtu', 'x'), 7],
  [new SubnetEnvError('/x', 'is missing A', ['A']), 7],
  [named('NetnsError', { gone: true }), 8],
  [named('LockTimeout'), 11],
  [new PoolExhausted(0, 'a-b', '/d'), 11],
  [netlink(16), 11],
  [netlink(11), 11],
  [netlink(105), 11],
  [netlink(4), 11],
  [netlink(17), 100],
  [named('InterfaceExists'), 101],
  [named('ConflictError'), 102],
  [new RecordVersionError('/x', 2), 102],
  [new ReservationMissing('c', 'eth0', '/d'), 103],
  [named('CheckFailed'), 103],
  [new CniError(42, 'x'), 42],
  [new TypeError('x'), 999],
  ['text', 999],
]
for (const [error, code] of codes) {
  test(`toCniError gives ${error instanceof Error ? `${error.name} "${error.message}"` : String(error)} code ${code}`, (t) => {
    t.is(toCniError(error).code, code)
  })
}

test('toCniError keeps message and details, and leaves absent details out', (t) => {
  t.deepEqual(toCniError(new CniError(11, 'later', { details: 'why' })), {
    code: 11,
    msg: 'later',
    details: 'why',
  })
  t.deepEqual(toCniError(new CniError(11, 'later')), { code: 11, msg: 'later' })
})

test('toCniError shows where a bug is', (t) => {
  t.regex(toCniError(new TypeError('x is not a function')).details ?? '', /protocol-error\.test/)
})

test('toCniError tells all failures of a DEL, with the code of the first', (t) => {
  const both = new AggregateError([new CniError(5, 'a', { details: 'd' }), new CniError(7, 'b')])
  t.deepEqual(toCniError(both), { code: 5, msg: 'a; b', details: 'd' })
  t.deepEqual(toCniError(new AggregateError([new CniError(7, 'b')])), { code: 7, msg: 'b' })
  t.is(toCniError(new AggregateError([])).code, 999)
})

test('toCniError tells what went wrong first when the cleanup failed as well', (t) => {
  const error = thrown(() => {
    using undo = new DisposableStack()
    undo.defer(() => {
      throw new CniError(5, 'cleanup')
    })
    throw new CniError(7, 'cause')
  })
  t.deepEqual(toCniError(error), { code: 7, msg: 'cause' })
})

test('describeSystemError words a failed file operation as Go does', (t) => {
  const error = thrown(() => readFileSync('/none/x'))
  t.is(describeSystemError(error), 'open /none/x: no such file or directory')
  t.is(toCniError(error).msg, 'open /none/x: no such file or directory')
  t.is(describeSystemError(new Error('x')), undefined)
})

test('renderError lays the object out as the reference plugins do', (t) => {
  t.is(renderError({ code: 7, msg: 'a "b"' }), '{\n    "code": 7,\n    "msg": "a \\"b\\""\n}')
})
