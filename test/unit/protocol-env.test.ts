import test from 'ava'
import {
  type Command,
  type Environment,
  interfaceNameFault,
  isCommand,
  isValidName,
  readInvocation,
} from '../../cni/protocol/env.ts'

const complete = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
}

test('readInvocation reads every variable', (t) => {
  const env = { ...complete, CNI_ARGS: 'IP=10.0.0.5', CNI_NETNS_OVERRIDE: 'TRUE' }
  t.deepEqual(readInvocation('ADD', env), {
    command: 'ADD',
    containerId: 'c1',
    netns: '/run/netns/c1',
    ifname: 'eth0',
    path: ['/opt/cni/bin', '/usr/lib/cni'],
    args: 'IP=10.0.0.5',
    netnsOverride: true,
  })
})

const missing: readonly [Command, Environment, string][] = [
  ['ADD', {}, 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
  ['CHECK', {}, 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
  ['DEL', {}, 'CNI_CONTAINERID,CNI_IFNAME,CNI_PATH'],
  ['GC', {}, 'CNI_PATH'],
  ['STATUS', {}, 'CNI_PATH'],
  ['DEL', { ...complete, CNI_CONTAINERID: '' }, 'CNI_CONTAINERID'],
  ['ADD', { ...complete, CNI_IFNAME: '', CNI_PATH: '' }, 'CNI_IFNAME,CNI_PATH'],
]
for (const [command, env, names] of missing) {
  test(`readInvocation names what ${command} with ${Object.keys(env).length} variables lacks: ${names}`, (t) => {
    const error = t.throws(() => readInvocation(command, env), { name: 'EnvError' })
    t.is(error.message, `required env variables [${names}] missing`)
    t.deepEqual((error as unknown as { names: string[] }).names, names.split(','))
  })
}

test('readInvocation lets DEL go without a namespace', (t) => {
  t.is(readInvocation('DEL', { ...complete, CNI_NETNS: '' }).netns, '')
})

test('readInvocation does not look at what GC and STATUS do not need', (t) => {
  const env = { CNI_PATH: '/bin', CNI_CONTAINERID: '../a', CNI_IFNAME: '', CNI_NETNS: '/x' }
  const { containerId, ifname, netns } = readInvocation('GC', env)
  t.deepEqual({ containerId, ifname, netns }, { containerId: '', ifname: '', netns: '' })
  t.notThrows(() => readInvocation('STATUS', env))
})

for (const id of ['../a', '-a', 'a b', 'a\n', '.a', 'ä']) {
  test(`readInvocation refuses container id ${JSON.stringify(id)}`, (t) => {
    t.throws(() => readInvocation('ADD', { ...complete, CNI_CONTAINERID: id }), {
      name: 'EnvError',
      message: 'invalid characters in containerID',
    })
  })
}

test('readInvocation returns at the first invalid value even if others are missing', (t) => {
  t.throws(() => readInvocation('ADD', { CNI_CONTAINERID: '-a' }), {
    message: 'invalid characters in containerID',
  })
})

test('readInvocation turns the override on by 1 and true alone', (t) => {
  const override = (text: string) =>
    readInvocation('ADD', { ...complete, CNI_NETNS_OVERRIDE: text }).netnsOverride
  t.deepEqual(['1', 'true', 'True'].map(override), [true, true, true])
  t.deepEqual(['0', 'yes', ''].map(override), [false, false, false])
})

const names: readonly [name: string, fault: string | undefined][] = [
  ['eth0', undefined],
  ['123456789012345', undefined],
  ['1234567890123456', 'interface name is too long'],
  ['ääääääää', 'interface name is too long'],
  ['.', 'interface name is . or ..'],
  ['..', 'interface name is . or ..'],
  ['a/b', 'interface name contains / or : or whitespace characters'],
  ['a:b', 'interface name contains / or : or whitespace characters'],
  ['a b', 'interface name contains / or : or whitespace characters'],
  ['a\u2003b', 'interface name contains / or : or whitespace characters'],
  ['a\u0085b', 'interface name contains / or : or whitespace characters'],
]
for (const [name, fault] of names) {
  test(`interfaceNameFault of ${encodeURIComponent(name)} is ${fault ?? 'nothing'}`, (t) => {
    t.is(interfaceNameFault(name)?.message, fault)
  })
}

test('isCommand knows the verbs of an invocation in capitals only', (t) => {
  t.true(['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'].every(isCommand))
  t.false(['VERSION', 'add', ''].some(isCommand))
})

test('isValidName takes letters, digits, dots, dashes and underscores after a letter or digit', (t) => {
  t.deepEqual(['a', '0', 'a.b-c_d', 'A9'].filter(isValidName), ['a', '0', 'a.b-c_d', 'A9'])
  t.deepEqual(['', '_a', '.', '..', 'a/b', 'a\n'].filter(isValidName), [])
})
