import { runAt } from '../../scripts/lab/place.ts'
import type { Run } from './case.ts'
import { attaching } from './result-rows.ts'
import { every, own, type Row } from './rows.ts'

/** cni.md 1.4: the error object, a row for each code that another table has no row for. */
export const errorRows: readonly Row[] = [
  {
    row: '1.4',
    rule: 'an error is an object with a code, a message and perhaps details',
    of: every,
    observe: async (c) => {
      const { exit, stdout } = await c.run({ command: 'ADD', conf: { cniVersion: '9.9.9' } })
      const error = JSON.parse(stdout) as Record<string, unknown>
      const types = Object.entries(error).map(([key, value]) => `${key} ${typeof value}`)
      return { exit, types: types.toSorted() }
    },
    expect: { exit: 1, types: ['code number', 'details string', 'msg string'] },
  },
  {
    row: '1.4/999',
    rule: 'the code tells what kind of thing is wrong',
    of: [...attaching, 'ipam'],
    observe: async (c) => {
      const code = async (run: Omit<Run, 'command'>) => {
        const { stdout } = await c.run({ command: 'ADD', ...run })
        return (JSON.parse(stdout) as { code: number }).code
      }
      return {
        CNI_ARGS: await code({ env: { CNI_ARGS: 'A=b' } }),
        'a type that is a number': await code({ conf: { dns: 7, ipam: 7 } }),
      }
    },
    expect: { CNI_ARGS: 4, 'a type that is a number': 6 },
  },
  {
    row: '1.4/2',
    rule: 'a field that cannot be honoured is refused, with its key and value',
    of: (subject) => subject.kind === 'network' && subject.maker === 'heddle',
    observe: async (c) => {
      const field = { macspoofchk: true }
      const { delegate } = c.conf() as { delegate?: object }
      const conf = delegate ? { delegate: { ...delegate, ...field } } : field
      return {
        macspoofchk: await c.say({ command: 'ADD', pod: await c.pod(), conf }),
        mode: await c.say({
          command: 'ADD',
          pod: await c.pod('b'),
          conf: delegate ? { delegate: { ...delegate, mode: 'tube' } } : { mode: 'tube' },
        }),
      }
    },
    expect: {
      macspoofchk: { code: 2, msg: /macspoofchk.*true/ },
      mode: { code: 2, msg: /mode.*tube/ },
    },
  },
  {
    row: '1.4/11',
    rule: 'an exhausted pool is "try again later", and the text is the one that operators look for',
    of: (subject) => [...attaching, 'ipam'].includes(subject.kind) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const { ipam } = c.conf() as { ipam: object }
      const conf = { ipam: { ...ipam, ranges: [[{ subnet: c.subnet.replace('/24', '/30') }]] } }
      await c.result({ command: 'ADD', pod: await c.pod('a'), conf })
      return { full: await c.say({ command: 'ADD', pod: await c.pod('b'), conf }) }
    },
    expect: {
      full: own(
        11,
        /^failed to allocate for range 0: no IP addresses available in range set: [\d.]+\.1-[\d.]+\.2$/,
      ),
    },
  },
  {
    row: '1.4/102',
    rule: 'a bridge with another address is refused, in the words that operators look for',
    of: (subject) => subject.kind === 'network' && subject.plugin !== 'flannel',
    observe: async (c) => {
      await runAt(c.host, ['ip', 'link', 'add', c.bridge, 'type', 'bridge'])
      await runAt(c.host, ['ip', 'address', 'add', '192.0.2.1/24', 'dev', c.bridge])
      return { ADD: await c.say({ command: 'ADD', pod: await c.pod() }) }
    },
    expect: ({ bridge, subnet }) => ({
      ADD: own(
        102,
        new RegExp(
          `"${bridge}" already has an IP address different from ${subnet.replace('.0/', '.1/')}`,
        ),
      ),
    }),
  },
]
