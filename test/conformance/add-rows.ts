import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { attaching } from './result-rows.ts'
import { own, type Row } from './rows.ts'

/** cni.md 1.6, ADD. */
export const addRows: readonly Row[] = [
  {
    row: 'A1',
    rule: 'an interface that is there already is left as it is',
    of: attaching,
    observe: async (c) => {
      const pod = await c.pod()
      await c.result({ command: 'ADD', pod: await c.pod('first') })
      await runAt(pod, ['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other'])
      await runAt(pod, ['ip', 'address', 'add', '192.0.2.9/32', 'dev', 'eth0'])
      const before = await c.state(pod)
      return { ADD: await c.say({ command: 'ADD', pod }), changed: await c.changed(before, pod) }
    },
    expect: { ADD: own(101, /^container veth name .*eth0.* already exists$/), changed: [] },
  },
  {
    row: 'A2',
    rule: 'a second ADD of a container fails, and the first one goes on',
    of: [...attaching, 'ipam'],
    observe: async (c) => {
      const [pod, other] = [await c.pod(), await c.pod('b')]
      const first = await c.result({ command: 'ADD', pod })
      const before = await c.state(pod, other)
      const again = await c.say({ command: 'ADD', pod })
      const elsewhere = await c.say({ command: 'ADD', pod: other, id: `p${c.number}` })
      const left = await c.left(before, pod, other)
      const CHECK = await c.say({ command: 'CHECK', pod, conf: { prevResult: first } })
      return { again, elsewhere, left, CHECK }
    },
    expect: ({ subject: { kind } }) => ({
      again: kind === 'ipam' ? duplicate : own(101, /eth0.* already exists$/),
      elsewhere: duplicate,
      left: [],
      CHECK: 'ok',
    }),
  },
  {
    row: 'A3',
    rule: 'an ADD that fails leaves nothing behind',
    of: (subject) => attaching.includes(subject.kind) && subject.plugin !== 'flannel',
    observe: async (c) => {
      // The bridge may stay, and so it is there from the beginning.
      await c.result({ command: 'ADD', pod: await c.pod('first') })
      const pod = await c.pod()
      const before = await c.state(pod)
      const { ipam } = c.conf() as { ipam?: object }
      const failing: Record<string, object> = {
        'no such gateway': {
          ipam: { ...ipam, routes: [{ dst: '198.51.100.0/24', gw: '203.0.113.1' }] },
        },
        'no address left': {
          ipam: {
            ...ipam,
            ranges: [
              [{ subnet: c.subnet }],
              [{ subnet: '10.9.9.0/30', rangeStart: '10.9.9.1', rangeEnd: '10.9.9.1' }],
            ],
          },
        },
        'a MAC that is none': { args: { cni: { mac: 'zz' } } },
        'no such IPAM plugin': { ipam: { type: 'nope' } },
      }
      const facts: Record<string, unknown> = {}
      for (const [title, conf] of Object.entries(failing)) {
        const { exit } = await c.run({ command: 'ADD', pod, conf })
        facts[title] = { exit, left: await c.left(before, pod) }
        // Of those that left something, or did not fail at all, the next one shall find nothing.
        await attemptAt(pod, ['ip', 'link', 'delete', 'eth0'])
        if (exit === 0) await c.run({ command: 'DEL', pod })
      }
      return facts
    },
    expect: {
      'no such gateway': { exit: 1, left: [] },
      'no address left': { exit: 1, left: [] },
      'a MAC that is none': { exit: 1, left: [] },
      'no such IPAM plugin': { exit: 1, left: [] },
    },
  },
  {
    row: 'A4',
    rule: 'a namespace that is none is found before anything is made',
    of: attaching,
    observe: async (c) => {
      const before = await c.state()
      const missing = await c.say({ command: 'ADD', env: { CNI_NETNS: '/run/netns/none' } })
      const file = await c.say({ command: 'ADD', env: { CNI_NETNS: '/etc/passwd' } })
      return { missing, file, left: await c.left(before) }
    },
    expect: {
      missing: own(
        3,
        'failed to open netns "/run/netns/none": failed to Statfs "/run/netns/none": no such file or directory',
      ),
      file: own(
        8,
        /^failed to open netns "\/etc\/passwd": unknown FS magic on "\/etc\/passwd": [\da-f]+$/,
      ),
      left: [],
    },
  },
]

const duplicate = own(
  102,
  /^failed to allocate for range 0: [\d.]+ has been allocated to \S+, duplicate allocation is not allowed$/,
)
