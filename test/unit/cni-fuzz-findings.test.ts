/** What mutated configurations have brought to light, each as a case of its own. */
import '../fuzz/use-rooted-fs.ts'
import test from 'ava'
import type { FuzzRole } from '../fuzz/base-confs.ts'
import { answerFault, errorOf } from '../fuzz/judge.ts'
import { dropFiles } from '../fuzz/rooted-fs.ts'

const { addChainedLink, environmentOf, newWorld, runOn } = await import('../fuzz/run-model.ts')

test.after.always(dropFiles)

interface Finding {
  readonly title: string
  readonly role: FuzzRole
  /** Of the configuration, beside its version and name. */
  readonly conf: string
  readonly codes: readonly number[]
}

const prevResult =
  '{"interfaces":[{"name":"veth9"},{"name":"eth0","sandbox":"/run/netns/c1"}],"ips":[{"address":"10.88.0.9/24"}]}'
const range = '"ipam":{"subnet":"10.88.0.0/24"}'

const findings: readonly Finding[] = [
  {
    title: 'a value too deep for those who walk through it',
    role: 'heddle',
    conf: `"type":${'['.repeat(9000)}${']'.repeat(9000)}`,
    codes: [6],
  },
  {
    title: 'an unknown value too deep to be printed again',
    role: 'loopback',
    conf: `"prevResult":{"x":${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}}`,
    codes: [6],
  },
  {
    title: 'a rate beyond all numbers',
    role: 'bandwidth',
    conf: `"ingressRate":1e999,"ingressBurst":800000,"prevResult":${prevResult}`,
    codes: [6, 7],
  },
  {
    title: 'a rate beyond what the kernel can hold',
    role: 'bandwidth',
    conf: `"ingressRate":1e308,"ingressBurst":800000,"prevResult":${prevResult}`,
    codes: [6, 7],
  },
  {
    title: 'a result of a version that is none',
    role: 'loopback',
    conf: '"prevResult":{"cniVersion":2}',
    codes: [6, 7],
  },
  {
    title: 'a subnet file with a zero byte in its name',
    role: 'heddle',
    conf: '"subnetFile":"x\\u0000y"',
    codes: [5, 7],
  },
  {
    title: 'a data folder with a zero byte in its name',
    role: 'bridge',
    conf: '"ipam":{"type":"host-local","dataDir":"/x\\u0000y","subnet":"10.88.0.0/24"}',
    codes: [5, 7],
  },
  {
    title: 'to give addresses itself, which would go on for ever',
    role: 'bridge',
    conf: '"ipam":{"type":"bridge"}',
    codes: [7],
  },
  {
    title: 'a bridge whose name the kernel would count up',
    role: 'heddle',
    conf: `"bridge":"br%d",${range}`,
    codes: [7],
  },
]

for (const { title, role, conf, codes } of findings) {
  test(`${role} refuses ${title} and stays whole`, (t) => {
    const world = newWorld()
    if (role === 'bandwidth') addChainedLink(world)
    const env = { ...environmentOf('c1'), CNI_COMMAND: 'ADD' }
    const stdin = Buffer.from(`{"cniVersion":"1.0.0","name":"fuzz",${conf}}`)
    const { code, stdout, stderr } = runOn(world, role, env, stdin)
    t.is(answerFault({ verb: 'ADD', code, stdout, stderr, chained: false }), undefined)
    t.is(code, 1)
    t.true(codes.includes(errorOf(stdout)?.code ?? 0), stdout)
  })
}

test('loopback answers in its own version when the result before it has none', (t) => {
  const stdin = Buffer.from('{"cniVersion":"1.0.0","name":"fuzz","prevResult":{"ips":[]}}')
  const env = { ...environmentOf('c1'), CNI_COMMAND: 'ADD' }
  const { code, stdout } = runOn(newWorld(), 'loopback', env, stdin)
  t.is(code, 0, stdout)
  t.is(JSON.parse(stdout).cniVersion, '1.0.0')
})
