import type { Case } from './case.ts'
import { every, own, type Row } from './rows.ts'

const supported = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const goList = `[${supported.map((one) => `"${one}"`).join(' ')}]`

/** A DEL of something that was never there: it needs nothing but a configuration that is fine. */
const harmless = { command: 'DEL', env: { CNI_NETNS: '' } }

/** cni.md 1.2. */
export const stdinRows: readonly Row[] = [
  {
    row: 'S1',
    rule: 'standard input that cannot be read is an I/O error',
    of: every,
    observe: async (c) => ({
      'a folder': await c.say({ command: 'ADD', stdin: { is: 'folder' } }),
      closed: await c.say({ command: 'ADD', stdin: { is: 'closed' } }),
    }),
    expect: {
      'a folder': { code: 5, msg: /^error reading from stdin: .*is a directory$/i },
      // Go opens /dev/null where nothing is open, as do we: an empty input.
      closed: { code: 6, msg: /^error unmarshall network config:/ },
    },
  },
  {
    row: 'S2',
    rule: 'what is no JSON object is a decoding error',
    of: every,
    observe: async (c) => ({
      empty: await c.say({ command: 'ADD', stdin: '' }),
      'half an object': await c.say({ command: 'ADD', stdin: '{' }),
      'a list': await c.say({ command: 'ADD', stdin: '[]' }),
      'a text': await c.say({ command: 'DEL', stdin: '"a"' }),
    }),
    expect: Object.fromEntries(
      ['empty', 'half an object', 'a list', 'a text'].map((input) => [
        input,
        { code: 6, msg: /^error unmarshall network config:/ },
      ]),
    ),
  },
  {
    row: 'S3',
    rule: 'a configuration has a network name',
    of: every,
    observe: async (c) => ({
      'no name': await c.say({ command: 'ADD', stdin: '{"cniVersion":"1.0.0"}' }),
      'no name in DEL': await c.say({ command: 'DEL', stdin: '{"cniVersion":"1.0.0"}' }),
    }),
    expect: {
      'no name': { code: 7, msg: 'missing network name' },
      'no name in DEL': { code: 7, msg: 'missing network name' },
    },
  },
  {
    row: 'S4',
    rule: 'a network name is made of the same characters as a container id',
    of: every,
    observe: async (c) => ({
      'a/b': await c.say({ command: 'ADD', conf: { name: 'a/b' } }),
      '-a': await c.say({ command: 'DEL', conf: { name: '-a' } }),
      '': await c.say({ command: 'ADD', conf: { name: '' } }),
    }),
    expect: {
      'a/b': { code: 7, msg: 'invalid characters found in network name', details: 'a/b' },
      '-a': { code: 7, msg: 'invalid characters found in network name', details: '-a' },
      '': { code: 7, msg: 'missing network name' },
    },
  },
  {
    row: 'S5',
    rule: 'a version that is no text is a decoding error',
    of: every,
    observe: async (c) => ({ number: await c.say({ command: 'ADD', conf: { cniVersion: 1 } }) }),
    expect: { number: { code: 6, msg: /^decoding version from network config:/ } },
  },
  {
    row: 'S6',
    rule: 'a version nobody knows is incompatible, and the known ones are told',
    of: every,
    observe: async (c) => ({
      '9.9.9': await c.say({ command: 'ADD', conf: { cniVersion: '9.9.9' } }),
      foo: await c.say({ command: 'DEL', conf: { cniVersion: 'foo' } }),
    }),
    expect: Object.fromEntries(
      ['9.9.9', 'foo'].map((version) => [
        version,
        {
          code: 1,
          msg: 'incompatible CNI versions',
          details: `config is "${version}", plugin supports ${goList}`,
        },
      ]),
    ),
  },
  {
    row: 'S7',
    rule: 'no version means 0.1.0',
    of: ['network', 'ipam', 'loopback'],
    observe: async (c) => {
      const pod = await c.pod()
      const absent = await added(c, { cniVersion: undefined }, pod)
      const empty = await added(c, { cniVersion: '' }, await c.pod('b'))
      return { absent, empty }
    },
    expect: () => {
      const shape = ['cniVersion', 'dns', 'ip4', 'ip6']
      return Object.fromEntries(
        ['absent', 'empty'].map((input) => [input, { cniVersion: '0.1.0', shape }]),
      )
    },
  },
  {
    row: 'S8',
    rule: "keys that are not the plugin's are ignored",
    of: every,
    observe: async (c) => {
      const pod = await c.pod()
      const conf = {
        unheardOf: { of: [1] },
        args: { cni: { labels: [{ key: 'a', value: 'b' }] }, other: true },
        runtimeConfig: { 'io.kubernetes.cri.pod-annotations': { a: 'b' }, cgroupPath: '/x' },
        capabilities: { portMappings: true, bandwidth: true, dns: true },
        'cni.dev/whatever': 1,
      }
      const said = await c.say({ command: 'ADD', pod, conf })
      return { ADD: said, DEL: await c.say({ command: 'DEL', pod, conf }) }
    },
    expect: { ADD: 'result', DEL: 'ok' },
  },
  {
    row: 'S9',
    rule: 'of two equal keys the last counts',
    of: every,
    observe: async (c) => {
      const text = JSON.stringify(c.conf({ name: undefined }))
      return {
        'the last is wrong': await c.say({
          ...harmless,
          stdin: `{"name":"ok","name":"-a",${text.slice(1)}`,
        }),
        'the last is right': await c.say({
          ...harmless,
          stdin: `{"name":"-a","name":"${c.network}",${text.slice(1)}`,
        }),
      }
    },
    expect: {
      'the last is wrong': {
        code: 7,
        msg: 'invalid characters found in network name',
        details: '-a',
      },
      'the last is right': 'ok',
    },
  },
  {
    row: 'S10',
    rule: 'a known field of a wrong type is a decoding error',
    of: every,
    observe: async (c) => ({
      type: await c.say({ command: 'ADD', conf: { type: 1 } }),
      [wrongField(c).key]: await c.say({ command: 'ADD', conf: wrongField(c).conf }),
    }),
    expect: (c) => ({
      type: own(6, /type/),
      [wrongField(c).key]: own(6, new RegExp(wrongField(c).key)),
    }),
  },
  {
    row: 'S11',
    rule: 'VERSION needs no standard input, other verbs read all of it',
    of: every,
    observe: async (c) => {
      // Longer than a pipe holds: a plugin that does not read it has its runtime fail with a broken pipe.
      const padded = JSON.stringify(c.conf({ padding: 'x'.repeat(200_000) }))
      return {
        'VERSION, closed': (await c.run({ command: 'VERSION', stdin: { is: 'closed' } })).exit,
        'VERSION, unreadable': (await c.run({ command: 'VERSION', stdin: { is: 'folder' } })).exit,
        'VERSION, garbage': (await c.run({ command: 'VERSION', stdin: 'no { JSON' })).exit,
        'a long DEL': await c.say({ ...harmless, stdin: padded }),
      }
    },
    expect: {
      'VERSION, closed': 0,
      'VERSION, unreadable': 0,
      'VERSION, garbage': 0,
      'a long DEL': 'ok',
    },
  },
]

async function added(
  c: Case,
  conf: object,
  pod: Awaited<ReturnType<Case['pod']>>,
): Promise<object> {
  const result = await c.result({ command: 'ADD', pod, conf })
  return { cniVersion: result.cniVersion, shape: Object.keys(result).toSorted() }
}

/** A field that the subject knows, with a value of another type. */
function wrongField({ subject }: Case): { readonly key: string; readonly conf: object } {
  switch (subject.kind) {
    case 'network':
    case 'ptp':
    case 'macvlan':
      return subject.plugin === 'flannel'
        ? { key: 'subnetFile', conf: { subnetFile: 1 } }
        : { key: 'isGateway', conf: { isGateway: 'yes' } }
    case 'ipam':
      return { key: 'ipam', conf: { ipam: 'host-local' } }
    case 'portmap':
      return { key: 'runtimeConfig', conf: { runtimeConfig: { portMappings: 'all' } } }
    case 'bandwidth':
      return { key: 'ingressRate', conf: { ingressRate: 'fast' } }
    case 'loopback':
      return { key: 'prevResult', conf: { prevResult: 'none' } }
  }
}

/** cni.md 1.3. */
export const versionRows: readonly Row[] = [
  {
    row: 'V1',
    rule: 'VERSION lists the versions',
    of: every,
    observe: async (c) => {
      const { exit, stdout, stderr } = await c.run({
        command: 'VERSION',
        stdin: '{"cniVersion":"1.1.0"}',
      })
      return { exit, stderr, ends: stdout.endsWith('}\n'), ...(JSON.parse(stdout) as object) }
    },
    expect: { exit: 0, stderr: '', ends: true, cniVersion: '1.1.0', supportedVersions: supported },
  },
  {
    row: 'V2',
    rule: 'VERSION looks at no other variable and changes nothing',
    of: every,
    observe: async (c) => {
      const env = {
        CNI_CONTAINERID: '-',
        CNI_NETNS: 'dummy',
        CNI_IFNAME: 'dummy/',
        CNI_PATH: 'dummy',
        CNI_ARGS: ';',
      }
      const before = await c.state()
      const { exit } = await c.run({ command: 'VERSION', env })
      return { exit, changed: await c.changed(before) }
    },
    expect: { exit: 0, changed: [] },
  },
  {
    row: 'V3',
    rule: 'ADD takes every version it lists and refuses others',
    of: every,
    observe: async (c) => {
      const said: Record<string, unknown> = {}
      for (const [i, cniVersion] of supported.entries()) {
        const pod = await c.pod(`v${i}`)
        const chained = 'prevResult' in c.conf() ? { prevResult: c.earlier(pod, cniVersion) } : {}
        said[cniVersion] = await c.say({ command: 'ADD', pod, conf: { cniVersion, ...chained } })
      }
      return said
    },
    expect: Object.fromEntries(supported.map((version) => [version, 'result'])),
  },
]
