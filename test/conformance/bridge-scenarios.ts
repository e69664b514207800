import { writeFileSync } from 'node:fs'
import { hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import type { Answer, Case } from './case.ts'
import { own, type Row } from './rows.ts'
import type { Subject } from './subjects.ts'

const bridges = (subject: Subject) => subject.kind === 'network' && subject.plugin === 'bridge'

function ranges(c: Case, ...subnets: readonly string[]): object {
  const { ipam } = c.conf() as { ipam: object }
  return { ...ipam, ranges: subnets.map((subnet) => [{ subnet }]) }
}

async function hostAddresses(c: Case): Promise<string[]> {
  const text = await runAt(c.host, ['ip', '-json', 'address', 'show', 'dev', c.bridge])
  const [link] = JSON.parse(text) as { addr_info: { local: string; scope: string }[] }[]
  return (link?.addr_info ?? []).filter(({ scope }) => scope === 'global').map(({ local }) => local)
}

/** A container's ADD and DEL by which the bridge is there, with the address of one subnet. */
async function bridgeWith(c: Case, subnet: string): Promise<void> {
  const pod = await c.pod('first')
  await c.result({ command: 'ADD', pod, conf: { ipam: ranges(c, subnet) } })
}

/** Cases of the reference plugins' own tests (cni.md 5) for bridge. */
export const bridgeScenarios: readonly Row[] = [
  {
    row: '5/bridge-dns',
    rule: 'name servers come from resolvConf, or from the configuration in their place',
    of: bridges,
    observe: async (c) => {
      const resolvConf = `/run/lab/resolv${c.number}.conf`
      writeFileSync(
        hostFile(c.host, resolvConf),
        '# of a host\nnameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2\n',
      )
      const conf = { ipam: { ...ranges(c, c.subnet), resolvConf } }
      const file = await c.result({ command: 'ADD', pod: await c.pod('a'), conf })
      const dns = { nameservers: ['192.0.2.54'] }
      const given = await c.result({
        command: 'ADD',
        pod: await c.pod('b'),
        conf: { ...conf, dns },
      })
      return { file: file.dns, given: given.dns }
    },
    expect: {
      file: {
        nameservers: ['192.0.2.53'],
        search: ['a.example', 'b.example'],
        options: ['ndots:2'],
      },
      given: { nameservers: ['192.0.2.54'] },
    },
  },
  {
    row: '5/bridge-three',
    rule: 'three addresses are given from 0.3.0 on, and refused before',
    of: bridges,
    observe: async (c) => {
      const other = c.subnet6.replace('fd00', 'fd01')
      const conf = { ipam: ranges(c, c.subnet, c.subnet6, other) }
      const pod = await c.pod()
      const old = { ...conf, cniVersion: '0.2.0' }
      const before = await c.state()
      const refused = await c.say({ command: 'ADD', pod, conf: old })
      const left = await c.left(before)
      const deleted = await c.say({ command: 'DEL', pod, conf: old })
      const fresh = { ...conf, cniVersion: '0.3.0', bridge: `${c.bridge}n` }
      const { ips = [] } = await c.result({ command: 'ADD', pod: await c.pod('b'), conf: fresh })
      return { refused, left, deleted, given: ips.map(({ version }) => version) }
    },
    expect: {
      refused: own(7, 'CNI version 0.2.0 does not support more than 1 address per family'),
      left: [],
      deleted: 'ok',
      given: ['4', '6', '6'],
    },
  },
  {
    row: '5/bridge-down',
    rule: 'an interface that stays down has no address',
    of: bridges,
    observe: async (c) => ({
      'with IPAM': await c.say({
        command: 'ADD',
        pod: await c.pod(),
        conf: { disableContainerInterface: true },
      }),
    }),
    expect: { 'with IPAM': own(7, /^cannot use IPAM when DisableContainerInterface flag is set$/) },
  },
  {
    row: '5/bridge-force4',
    rule: 'another IPv4 address of the bridge is replaced by forceAddress, and refused without',
    of: bridges,
    observe: async (c) => {
      const other = c.subnet.replace(/^10\.1/, '10.2')
      await bridgeWith(c, other)
      await runAt(c.host, ['ip', 'address', 'add', '203.0.113.1/24', 'dev', c.bridge])
      const conf = { ipam: ranges(c, c.subnet) }
      const refused = await c.run({ command: 'ADD', pod: await c.pod('b'), conf })
      const forced = await c.say({
        command: 'ADD',
        pod: await c.pod('c'),
        conf: { ...conf, forceAddress: true },
      })
      const wanted = c.subnet.replace('.0/24', '.1')
      const addresses = await hostAddresses(c)
      return {
        refused: refused.exit,
        forced,
        alone: addresses.length === 1 && addresses[0] === wanted,
      }
    },
    expect: { refused: 1, forced: 'result', alone: true },
  },
  {
    row: '5/bridge-force6',
    rule: 'an IPv6 address of another network stays beside the new one, one of an overlapping network must be forced',
    of: bridges,
    observe: async (c) => {
      await bridgeWith(c, c.subnet6)
      const [distinct, wider] = [
        c.subnet6.replace('fd00', 'fd01'),
        c.subnet6.replace('::/64', '::/60'),
      ]
      const beside = await c.say({
        command: 'ADD',
        pod: await c.pod('b'),
        conf: { ipam: ranges(c, distinct) },
      })
      const both = (await hostAddresses(c)).length
      const overlapping = {
        ipam: {
          ...ranges(c),
          ranges: [[{ subnet: wider, gateway: wider.replace('::/60', '::99') }]],
        },
      }
      const refused = await c.run({ command: 'ADD', pod: await c.pod('c'), conf: overlapping })
      const forced = await c.say({
        command: 'ADD',
        pod: await c.pod('d'),
        conf: { ...overlapping, forceAddress: true },
      })
      return { beside, both, refused: refused.exit, forced }
    },
    expect: { beside: 'result', both: 2, refused: 1, forced: 'result' },
  },
  {
    row: '5/bridge-mac',
    rule: 'a MAC comes from runtimeConfig, else from args, else from CNI_ARGS',
    of: bridges,
    observe: async (c) => {
      const env = { CNI_ARGS: 'IgnoreUnknown=1;MAC=0a:00:00:00:00:a1' }
      const args = { cni: { mac: '0a:00:00:00:00:a2' } }
      const runtimeConfig = { mac: '0a:00:00:00:00:a3' }
      const macOf = async (suffix: string, conf: object) => {
        const result: Answer = await c.result({
          command: 'ADD',
          pod: await c.pod(suffix),
          env,
          conf,
        })
        return result.interfaces?.find((one) => one.sandbox)?.mac
      }
      return {
        CNI_ARGS: await macOf('a', {}),
        args: await macOf('b', { args }),
        runtimeConfig: await macOf('c', { args, runtimeConfig }),
      }
    },
    expect: {
      CNI_ARGS: '0a:00:00:00:00:a1',
      args: '0a:00:00:00:00:a2',
      runtimeConfig: '0a:00:00:00:00:a3',
    },
  },
  {
    row: '5/bridge-kept',
    rule: 'a bridge that is there keeps its index, and one that was made its MAC',
    of: bridges,
    observe: async (c) => {
      const look = async () =>
        (await runAt(c.host, ['ip', '-json', 'link', 'show', c.bridge])).trim()
      const facts = (text: string) => {
        const [link] = JSON.parse(text) as {
          ifindex: number
          address: string
          promiscuity?: number
        }[]
        return `${link?.ifindex} ${link?.address}`
      }
      await c.result({ command: 'ADD', pod: await c.pod('a') })
      const first = facts(await look())
      const pod = await c.pod('b')
      await c.result({ command: 'ADD', pod })
      const second = facts(await look())
      await c.ok({ command: 'DEL', pod })
      return { added: second === first, deleted: facts(await look()) === first }
    },
    expect: { added: true, deleted: true },
  },
]
