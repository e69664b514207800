import { rmSync } from 'node:fs'
import { hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import type { Answer, Case } from './case.ts'
import { attaching } from './result-rows.ts'
import { own, type Row } from './rows.ts'

/** With every kind of state that the subject's DEL has to remove. */
function full(c: Case): object {
  const { kind, plugin } = c.subject
  if (plugin === 'flannel')
    return { delegate: { bridge: c.bridge, isDefaultGateway: true, ipMasq: true } }
  return kind === 'network' || kind === 'ptp' ? { ipMasq: true } : {}
}

interface Attached {
  readonly pod: Pod
  readonly conf: object
  readonly result: Answer
  /** What is left over once the attachment is gone, of what it brought. */
  readonly left: () => Promise<string[]>
}

/** An attachment beside another one, so that what all share is there before it. */
async function attached(c: Case): Promise<Attached> {
  const conf = full(c)
  await c.result({ command: 'ADD', pod: await c.pod('first'), conf })
  const pod = await c.pod()
  const before = await c.state()
  const result = await c.result({ command: 'ADD', pod, conf })
  return { pod, conf, result, left: () => c.left(before) }
}

/** cni.md 1.6, DEL. */
export const delRows: readonly Row[] = [
  {
    row: 'D1',
    rule: 'DEL can be said twice',
    of: [...attaching, 'loopback', 'ipam', 'portmap', 'bandwidth'],
    observe: async (c) => {
      const pod = await c.pod()
      await c.result({ command: 'ADD', pod })
      return {
        first: await c.say({ command: 'DEL', pod }),
        second: await c.say({ command: 'DEL', pod }),
      }
    },
    expect: { first: 'ok', second: 'ok' },
  },
  {
    row: 'D2a',
    rule: 'DEL with an empty CNI_NETNS removes everything',
    of: [...attaching, 'ipam'],
    observe: (c) => deleted(c, { CNI_NETNS: '' }),
    expect: { DEL: 'ok', left: [] },
  },
  {
    row: 'D2b',
    rule: 'DEL with a namespace that is gone removes everything',
    of: [...attaching, 'ipam'],
    observe: async (c) => {
      const made = await attached(c)
      const { pod, conf, result } = made
      await runAt(c.host, ['ip', 'netns', 'delete', `p${c.number}`])
      // The kernel takes its time over what was in it.
      const link = result.interfaces?.find((one) => one.name.startsWith('veth'))?.name ?? 'none'
      await until(
        `${link} to go`,
        async () => (await attemptAt(c.host, ['ip', 'link', 'show', link])).code !== 0,
        { timeoutMs: 5000 },
      )
      const DEL = await c.say({ command: 'DEL', pod, conf: { ...conf, prevResult: result } })
      return { DEL, left: await made.left() }
    },
    expect: { DEL: 'ok', left: [] },
  },
  {
    row: 'D2c',
    rule: 'DEL with a file that is no namespace removes everything',
    of: [...attaching, 'ipam'],
    observe: (c) => deleted(c, { CNI_NETNS: '/etc/passwd' }),
    expect: { DEL: 'ok', left: [] },
  },
  {
    row: 'D3',
    rule: 'DEL without prevResult removes everything',
    of: [...attaching, 'ipam'],
    observe: async (c) => {
      const { pod, conf, left } = await attached(c)
      return { DEL: await c.say({ command: 'DEL', pod, conf }), left: await left() }
    },
    expect: { DEL: 'ok', left: [] },
  },
  {
    row: 'D4a',
    rule: 'DEL with a delegate that is missing removes its own before it complains',
    of: (subject) => attaching.includes(subject.kind) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const { pod, conf, left } = await attached(c)
      const DEL = await c.say({ command: 'DEL', pod, conf: { ...conf, ipam: { type: 'nope' } } })
      return { DEL, left: await left() }
    },
    // The delegate's own state stays, with our record of whose it is: DEL has failed and comes again.
    expect: {
      DEL: own(7, /^failed to find plugin "nope" in path \[\S+\]$/),
      left: ['record', 'reservation'],
    },
  },
  {
    row: 'D4b',
    rule: 'DEL with a configuration that ADD would refuse removes everything',
    of: (subject) => attaching.includes(subject.kind) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const { pod, conf, left } = await attached(c)
      const { ipam } = c.conf() as { ipam: object }
      const broken = {
        ...conf,
        mtu: -1,
        vlan: 9999,
        ipam: { ...ipam, ranges: [[{ subnet: '10.0.0.1/31' }]] },
      }
      const { exit } = await c.run({ command: 'DEL', pod, conf: broken })
      return { exit: exit === 0 || exit === 1, left: await left() }
    },
    expect: { exit: true, left: [] },
  },
  {
    row: 'D5',
    rule: 'DEL of what was never added changes nothing',
    // loopback's DEL sets lo down in any case.
    of: [...attaching, 'ipam', 'portmap', 'bandwidth'],
    observe: async (c) => {
      const pod = await c.pod()
      const before = await c.state(pod)
      const DEL = await c.say({ command: 'DEL', pod })
      const folders = await runAt(c.host, [
        'sh',
        '-c',
        `find /var/lib/cni /run/heddle -name '*${c.network}*' 2>/dev/null; true`,
      ])
      return {
        DEL,
        changed: await c.changed(before, pod),
        folders: folders.replaceAll(c.network, 'NET').trim(),
      }
    },
    expect: { DEL: 'ok', changed: [], folders: '' },
  },
  {
    row: 'D6',
    rule: 'DEL does not touch a newer container that has got the same address',
    of: ['network', 'ptp'],
    observe: async (c) => {
      const old = await attached(c)
      await c.ok({ command: 'DEL', pod: old.pod, conf: { ...old.conf, prevResult: old.result } })
      forgetLast(c)
      const pod = await c.pod('new')
      const result = await c.result({ command: 'ADD', pod, conf: old.conf })
      const same = result.ips?.[0]?.address === old.result.ips?.[0]?.address
      const before = await c.state(pod)
      const DEL = await c.say({
        command: 'DEL',
        pod: old.pod,
        conf: { ...old.conf, prevResult: old.result },
      })
      return { same, DEL, changed: await c.changed(before, pod) }
    },
    expect: { same: true, DEL: 'ok', changed: [] },
  },
]

async function deleted(c: Case, env: Record<string, string>): Promise<Record<string, unknown>> {
  const { pod, conf, result, left } = await attached(c)
  const DEL = await c.say({ command: 'DEL', pod, env, conf: { ...conf, prevResult: result } })
  return { DEL, left: await left() }
}

/** The next search begins at the start of the range again, with the address that was freed. */
function forgetLast(c: Case): void {
  const folder = hostFile(c.host, `/var/lib/cni/networks`)
  for (const index of [0, 1])
    rmSync(`${folder}/${c.network}/last_reserved_ip.${index}`, { force: true })
  rmSync(`${folder}/.heddle/${c.network}`, { recursive: true, force: true })
}
