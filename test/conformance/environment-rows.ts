import { attemptAt } from '../../scripts/lab/place.ts'
import { every, type Row } from './rows.ts'

const all = '[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH]'
const none = {
  CNI_CONTAINERID: undefined,
  CNI_NETNS: undefined,
  CNI_IFNAME: undefined,
  CNI_PATH: undefined,
  CNI_ARGS: undefined,
}
const missing = (names: string) => ({ code: 4, msg: `required env variables ${names} missing` })

const sameNetns = {
  code: 8,
  msg: "plugin's netns and netns from CNI_NETNS should not be the same",
}

/** cni.md 1.1. */
export const environmentRows: readonly Row[] = [
  {
    row: 'E1',
    rule: 'without a command a plugin tells its version',
    of: every,
    observe: async (c) => {
      const { exit, stdout, stderr } = await c.run({
        command: '',
        env: { ...none, CNI_COMMAND: undefined },
        stdin: '',
      })
      const [about, versions, ...rest] = stderr.split('\n')
      return { exit, stdout, about, versions, rest }
    },
    expect: ({ subject }) => ({
      exit: 0,
      stdout: '',
      about: new RegExp(`^CNI ${subject.plugin} plugin v\\d+\\.\\d+\\.\\d+$`),
      versions: 'CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      rest: [''],
    }),
  },
  {
    row: 'E2',
    rule: 'ADD names all variables that are missing, in order',
    of: every,
    observe: async (c) => ({ ADD: await c.say({ command: 'ADD', env: none }) }),
    expect: { ADD: missing(all) },
  },
  {
    row: 'E3',
    rule: 'each verb requires its own variables',
    of: every,
    observe: async (c) => ({
      CHECK: await c.say({ command: 'CHECK', env: none }),
      DEL: await c.say({ command: 'DEL', env: none }),
      GC: await c.say({ command: 'GC', env: none, conf: { cniVersion: '1.1.0' } }),
      STATUS: await c.say({ command: 'STATUS', env: none, conf: { cniVersion: '1.1.0' } }),
      VERSION: (await c.run({ command: 'VERSION', env: none })).exit,
    }),
    expect: {
      CHECK: missing(all),
      DEL: missing('[CNI_CONTAINERID,CNI_IFNAME,CNI_PATH]'),
      GC: missing('[CNI_PATH]'),
      STATUS: missing('[CNI_PATH]'),
      VERSION: 0,
    },
  },
  {
    row: 'E4',
    rule: 'an unknown command is refused after the configuration was read',
    of: every,
    observe: async (c) => ({
      FOO: await c.say({ command: 'FOO' }),
      add: await c.say({ command: 'add' }),
      'FOO without a network name': await c.say({ command: 'FOO', conf: { name: undefined } }),
    }),
    expect: {
      FOO: { code: 4, msg: 'unknown CNI_COMMAND: FOO' },
      add: { code: 4, msg: 'unknown CNI_COMMAND: add' },
      'FOO without a network name': { code: 7, msg: 'missing network name' },
    },
  },
  {
    row: 'E5',
    rule: 'a container id is letters, digits, "_", "." and "-"',
    of: every,
    observe: async (c) => {
      const ids = ['../a', '-a', 'a b', 'a\n', 'a/b', 'ä']
      const said: Record<string, unknown> = {}
      for (const id of ids) said[id] = await c.say({ command: 'ADD', id })
      const deleted = await c.say({ command: 'DEL', id: 'A1.b_c-d' })
      return { ...said, 'DEL of A1.b_c-d': deleted }
    },
    expect: {
      ...Object.fromEntries(
        ['../a', '-a', 'a b', 'a\n', 'a/b', 'ä'].map((id) => [
          id,
          { code: 4, msg: 'invalid characters in containerID', details: id },
        ]),
      ),
      'DEL of A1.b_c-d': 'ok',
    },
  },
  {
    row: 'E6',
    rule: 'an interface name has at most 15 bytes',
    of: every,
    observe: async (c) => ({
      '16 bytes': await c.say({ command: 'ADD', ifname: 'a123456789012345' }),
      '16 bytes of 8 letters': await c.say({ command: 'ADD', ifname: 'ääääääää' }),
      'DEL of 15 bytes': await c.say({ command: 'DEL', ifname: 'a12345678901234' }),
    }),
    expect: {
      '16 bytes': tooLong(),
      '16 bytes of 8 letters': tooLong(),
      'DEL of 15 bytes': 'ok',
    },
  },
  {
    row: 'E7',
    rule: 'an interface is not named "." or ".."',
    of: every,
    observe: async (c) => ({
      '.': await c.say({ command: 'ADD', ifname: '.' }),
      '..': await c.say({ command: 'DEL', ifname: '..' }),
    }),
    expect: {
      '.': { code: 4, msg: 'interface name is . or ..' },
      '..': { code: 4, msg: 'interface name is . or ..' },
    },
  },
  {
    row: 'E8',
    rule: 'an interface name has no "/", ":" or white space',
    of: every,
    observe: async (c) => {
      const said: Record<string, unknown> = {}
      for (const ifname of badNames()) said[ifname] = await c.say({ command: 'ADD', ifname })
      return said
    },
    expect: Object.fromEntries(
      badNames().map((name) => [
        name,
        { code: 4, msg: 'interface name contains / or : or whitespace characters' },
      ]),
    ),
  },
  {
    row: 'E9',
    rule: 'the first invalid variable is told before later ones, missing or not',
    of: every,
    observe: async (c) => ({
      'bad id, no path': await c.say({ command: 'ADD', id: '../a', env: { CNI_PATH: undefined } }),
      'bad id, bad interface': await c.say({ command: 'ADD', id: '../a', ifname: 'a/b' }),
      'no id, bad interface': await c.say({
        command: 'ADD',
        ifname: 'a/b',
        env: { CNI_CONTAINERID: undefined },
      }),
    }),
    expect: {
      'bad id, no path': { code: 4, msg: 'invalid characters in containerID', details: '../a' },
      'bad id, bad interface': {
        code: 4,
        msg: 'invalid characters in containerID',
        details: '../a',
      },
      'no id, bad interface': {
        code: 4,
        msg: 'interface name contains / or : or whitespace characters',
      },
    },
  },
  {
    row: 'E10',
    rule: 'GC and STATUS take variables that are present but empty',
    of: every,
    observe: async (c) => {
      const env = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' }
      const conf = { cniVersion: '1.1.0', prevResult: undefined }
      return {
        GC: await c.say({ command: 'GC', env, conf: { ...conf, 'cni.dev/valid-attachments': [] } }),
        STATUS: await c.say({ command: 'STATUS', env, conf }),
      }
    },
    expect: { GC: 'ok', STATUS: 'ok' },
  },
  {
    row: 'E11',
    rule: 'an empty variable is a missing one',
    of: every,
    observe: async (c) => ({ DEL: await c.say({ command: 'DEL', id: '' }) }),
    expect: { DEL: missing('[CNI_CONTAINERID]') },
  },
  {
    row: 'E12',
    rule: "the namespace is not the plugin's own unless CNI_NETNS_OVERRIDE says so; that is seen first",
    of: every,
    observe: async (c) => {
      const own = { CNI_NETNS: '/proc/self/ns/net' }
      c.later(() => attemptAt(c.host, ['ip', 'link', 'set', 'lo', 'up']))
      const before = await c.state()
      const { stdout } = await c.run({ command: 'ADD', ifname: 'own0', env: own })
      const made = (await c.changed(before)).length > 0
      // DEL goes by what was recorded and takes any CNI_NETNS (D2); loopback's would take the host's lo down.
      const DEL = await c.say({ command: 'DEL', ifname: 'own0', env: own })
      const overridden: unknown[] = []
      for (const CNI_NETNS_OVERRIDE of ['1', 'true', 'TRUE']) {
        const env = { ...own, CNI_NETNS_OVERRIDE }
        overridden.push(await c.say({ command: 'DEL', id: 'none', ifname: 'none', env }))
      }
      return {
        'code 8': stdout.includes(sameNetns.msg),
        result: stdout.includes('cniVersion'),
        made,
        DEL,
        overridden,
      }
    },
    expect: ({ subject: { kind } }) => ({
      'code 8': true,
      result: false,
      made: false,
      DEL: kind === 'loopback' ? sameNetns : 'ok',
      overridden: ['ok', 'ok', 'ok'],
    }),
  },
]

function tooLong(): object {
  const details = 'interface name should be less than 16 characters'
  return { code: 4, msg: 'interface name is too long', details }
}

/** Go's unicode.IsSpace, not only ASCII's. */
function badNames(): readonly string[] {
  return ['a/b', 'a:b', 'a b', 'a\tb', 'a\u00a0b', 'a\u2003b']
}
