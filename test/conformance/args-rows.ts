import type { Case } from './case.ts'
import { attaching } from './result-rows.ts'
import { own, type Row } from './rows.ts'

/** Plugins that read CNI_ARGS at all. */
const readers: Row['of'] = [...attaching, 'ipam']

async function withArgs(
  c: Case,
  args: readonly string[],
  conf: object = {},
): Promise<Record<string, unknown>> {
  const pod = await c.pod()
  const facts: Record<string, unknown> = {}
  for (const CNI_ARGS of args) {
    const said = await c.say({ command: 'ADD', pod, env: { CNI_ARGS }, conf })
    if (said === 'result') await c.ok({ command: 'DEL', pod, conf })
    facts[CNI_ARGS] = said
  }
  return facts
}

const refused = (msg: string) => own(4, `ARGS: ${msg}`)
const kubernetes = [
  'K8S_POD_NAMESPACE=d',
  'K8S_POD_NAME=a',
  'K8S_POD_INFRA_CONTAINER_ID=i',
  'K8S_POD_UID=u',
]

function inSubnet(c: Case, host: number): string {
  const { delegate } = c.conf() as { delegate?: object }
  return delegate
    ? `10.${128 + (c.number >> 8)}.${c.number & 255}.${host}`
    : c.subnet.replace('.0/24', `.${host}`)
}

async function addressWith(
  c: Case,
  env: Record<string, string>,
  conf: object = {},
): Promise<unknown> {
  const pod = await c.pod(`a${podNumber++}`)
  const { exit, stdout } = await c.run({ command: 'ADD', pod, env, conf })
  const answer = JSON.parse(stdout) as { msg?: string; ips?: { address: string }[] }
  await c.run({ command: 'DEL', pod, conf })
  return exit === 0 ? answer.ips?.[0]?.address.replace(/\/.*/, '') : answer.msg
}

let podNumber = 0

/** cni.md 1.8. */
export const argsRows: readonly Row[] = [
  {
    row: 'K1',
    rule: 'an unknown argument is refused',
    of: readers,
    observe: (c) => withArgs(c, ['K8S_POD_NAME=a']),
    expect: { 'K8S_POD_NAME=a': refused('unknown args ["K8S_POD_NAME=a"]') },
  },
  {
    row: 'K2',
    rule: 'IgnoreUnknown takes unknown ones in any order, and is a boolean',
    of: readers,
    observe: (c) => withArgs(c, [...ignoring(), 'IgnoreUnknown=0;A=b', 'IgnoreUnknown=yes']),
    expect: {
      ...Object.fromEntries(ignoring().map((args) => [args, 'result'])),
      'IgnoreUnknown=0;A=b': refused('unknown args ["A=b"]'),
      'IgnoreUnknown=yes': refused(
        'error parsing value of pair "IgnoreUnknown=yes": boolean unmarshal error: invalid input yes',
      ),
    },
  },
  {
    row: 'K3',
    rule: 'what is no pair is refused',
    of: readers,
    observe: (c) => withArgs(c, ['A=b=c', 'IgnoreUnknown=1;', 'IgnoreUnknown=1;A']),
    expect: {
      'A=b=c': refused('invalid pair "A=b=c"'),
      'IgnoreUnknown=1;': refused('invalid pair ""'),
      'IgnoreUnknown=1;A': refused('invalid pair "A"'),
    },
  },
  {
    row: 'K4',
    rule: "the case of an argument's name matters",
    of: readers,
    observe: (c) => withArgs(c, ['ip=10.0.0.5']),
    expect: { 'ip=10.0.0.5': refused('unknown args ["ip=10.0.0.5"]') },
  },
  {
    row: 'K5a',
    rule: 'IP asks for an address, with or without a prefix',
    of: readers,
    observe: async (c) => ({
      plain:
        (await addressWith(c, { CNI_ARGS: `IgnoreUnknown=1;IP=${inSubnet(c, 77)}` })) ===
        inSubnet(c, 77),
      prefix:
        (await addressWith(c, { CNI_ARGS: `IgnoreUnknown=1;IP=${inSubnet(c, 78)}/8` })) ===
        inSubnet(c, 78),
      banana: await c.say({
        command: 'ADD',
        pod: await c.pod('b'),
        env: { CNI_ARGS: 'IgnoreUnknown=1;IP=banana' },
      }),
    }),
    expect: {
      plain: true,
      prefix: true,
      banana: refused('error parsing value of pair "IP=banana": invalid IP address banana'),
    },
  },
  {
    row: 'K5b',
    rule: 'MAC asks for a hardware address',
    of: ['network', 'macvlan'],
    observe: async (c) => {
      const CNI_ARGS = 'IgnoreUnknown=1;MAC=0a:11:22:33:44:55'
      const { interfaces = [] } = await c.result({
        command: 'ADD',
        pod: await c.pod(),
        env: { CNI_ARGS },
      })
      return { mac: interfaces.filter((one) => one.sandbox).map((one) => one.mac) }
    },
    expect: { mac: ['0a:11:22:33:44:55'] },
  },
  {
    row: 'K6',
    rule: 'the well-known arguments of IPAM are no unknown ones to the plugin that calls it',
    of: attaching,
    observe: async (c) => ({
      IP: (await addressWith(c, { CNI_ARGS: `IP=${inSubnet(c, 79)}` })) === inSubnet(c, 79),
    }),
    expect: { IP: true },
  },
  {
    row: 'K7',
    rule: 'CNI_ARGS is ignored where args.cni.ips is given',
    // flannel does not hand \`args\` to its delegate.
    of: (subject) => [...attaching, 'ipam'].includes(subject.kind) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const args = { cni: { ips: [inSubnet(c, 80)] } }
      const env = { CNI_ARGS: `IgnoreUnknown=1;IP=${inSubnet(c, 81)}` }
      return { address: (await addressWith(c, env, { args })) === inSubnet(c, 80) }
    },
    expect: { address: true },
  },
  {
    row: 'K8',
    rule: 'what Kubernetes says of a pod is never required',
    of: readers,
    observe: (c) => withArgs(c, ['', ['IgnoreUnknown=1', ...kubernetes].join(';')]),
    expect: { '': 'result', [['IgnoreUnknown=1', ...kubernetes].join(';')]: 'result' },
  },
]

function ignoring(): readonly string[] {
  const orders = [
    ['IgnoreUnknown=1', ...kubernetes],
    [...kubernetes, 'IgnoreUnknown=1'],
    [kubernetes[1], 'IgnoreUnknown=TRUE', kubernetes[0]],
  ]
  return orders.map((order) => order.join(';'))
}
