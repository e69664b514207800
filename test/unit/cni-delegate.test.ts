import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Call, CniDeps } from '../../cni/call.ts'
import { findPlugin, runDelegate } from '../../cni/delegate.ts'
import { addDelegate } from '../../cni/ipam.ts'
import { Undo } from '../../cni/undo.ts'
import { silent } from '../../log/logger.ts'

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-delegate-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

/** A plugin that is a shell script. */
function plugin(directory: string, name: string, script: string): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(directory, name), 0o755)
}

function callIn(directory: string, env: Readonly<Record<string, string>> = {}): Call {
  const path = [directory]
  // Only these parts of a call are looked at.
  return {
    invocation: { path } as unknown as Call['invocation'],
    env: { PATH: process.env['PATH'], DIRECTORY: directory, CNI_COMMAND: 'ADD', ...env },
    deps: { log: silent } as unknown as CniDeps,
  } as unknown as Call
}

test('findPlugin takes the first regular file of the name, links followed', (t) => {
  const root = folder(t)
  for (const name of ['a', 'b', 'c', 'a/ipam']) mkdirSync(join(root, name))
  plugin(join(root, 'c'), 'ipam', '')
  symlinkSync('../c/ipam', join(root, 'b/ipam'))
  const path = ['a', 'none', 'b', 'c'].map((name) => join(root, name))
  t.is(findPlugin('ipam', path), join(root, 'b/ipam'))
})

test("findPlugin says in libcni's words that there is none", (t) => {
  t.throws(() => findPlugin('nope', ['/usr/none', '/opt/none']), {
    name: 'CniError',
    message: 'failed to find plugin "nope" in path [/usr/none /opt/none]',
  })
})

test('findPlugin refuses a name that is a path', (t) => {
  t.throws(() => findPlugin('../x', ['/usr']), { message: 'invalid plugin name: ../x' })
})

test('runDelegate passes the same bytes and environment, with only the verb replaced', (t) => {
  const directory = folder(t)
  plugin(directory, 'x', 'cat; env | grep -E "^(CNI_|TRACE)" | sort')
  const call = callIn(directory, { CNI_ARGS: 'A=1', CNI_NETNS_OVERRIDE: '1', TRACEPARENT: 't' })
  const stdin = '{ "name":  "ä" }\n'
  t.is(
    runDelegate(call, { type: 'x', command: 'CHECK', stdin }),
    `${stdin}CNI_ARGS=A=1\nCNI_COMMAND=CHECK\nCNI_NETNS_OVERRIDE=1\nTRACEPARENT=t\n`,
  )
})

test("runDelegate keeps a delegate's own code and text", (t) => {
  const directory = folder(t)
  plugin(directory, 'x', `echo '{"code":42,"msg":"no","details":"why"}'; exit 1`)
  const error = t.throws(
    () => runDelegate(callIn(directory), { type: 'x', command: 'ADD', stdin: '' }),
    { name: 'CniError', code: 42, message: 'no' },
  )
  t.is((error as unknown as { details: string }).details, 'why')
})

for (const [how, script, message] of [
  ['says nothing', 'exit 3', 'plugin "x" failed: exit 3'],
  ['says what is no error object', 'echo oops; exit 1', 'plugin "x" failed: exit 1'],
  ['is killed', 'kill -9 $$', 'plugin "x" failed: SIGKILL'],
] as const) {
  test(`runDelegate tells of a delegate that ${how}`, (t) => {
    const directory = folder(t)
    plugin(directory, 'x', script)
    t.throws(() => runDelegate(callIn(directory), { type: 'x', command: 'ADD', stdin: '' }), {
      name: 'CniError',
      code: 999,
      message,
    })
  })
}

/** Notes each verb, and refuses ADD with a message. */
const refusing = (message: string) =>
  `echo $CNI_COMMAND >>$DIRECTORY/verbs; [ $CNI_COMMAND = DEL ] || { echo '{"code":7,"msg":"${message}"}'; exit 1; }`

test('addDelegate undoes a delegate that failed', (t) => {
  const directory = folder(t)
  plugin(directory, 'x', refusing('pool is empty'))
  t.throws(() => addDelegate(callIn(directory), 'x', '', new Undo()), { message: 'pool is empty' })
  t.is(readFileSync(join(directory, 'verbs'), 'utf8'), 'ADD\nDEL\n')
})

test('addDelegate leaves the first ADD alone when a second one is refused', (t) => {
  const directory = folder(t)
  plugin(directory, 'x', refusing('duplicate allocation is not allowed'))
  t.throws(() => addDelegate(callIn(directory), 'x', '', new Undo()), { message: /duplicate/ })
  t.is(readFileSync(join(directory, 'verbs'), 'utf8'), 'ADD\n')
})

test('addDelegate undoes a delegate when a later step fails', (t) => {
  const directory = folder(t)
  plugin(directory, 'x', 'echo $CNI_COMMAND >>$DIRECTORY/verbs; echo {}')
  const undo = new Undo()
  t.is(addDelegate(callIn(directory), 'x', '', undo), '{}\n')
  undo[Symbol.dispose]()
  t.is(readFileSync(join(directory, 'verbs'), 'utf8'), 'ADD\nDEL\n')
})
