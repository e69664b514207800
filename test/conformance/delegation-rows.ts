import { mkdirSync, symlinkSync } from 'node:fs'
import { hostFile } from '../../scripts/lab/lab.ts'
import type { Case } from './case.ts'
import { type Fake, fakePlugin } from './fake.ts'
import { attaching } from './result-rows.ts'
import { own, type Row } from './rows.ts'
import { folderOf } from './subjects.ts'

/** Plugins that hand a part of their work to another: addresses to IPAM. */
const delegating: Row['of'] = (subject) =>
  attaching.includes(subject.kind) && subject.plugin !== 'flannel'

function addressOf(c: Case): string {
  const gateway = c.subnet.replace('.0/24', '.1')
  return `{"cniVersion":"1.0.0","ips":[{"address":"${c.subnet.replace('.0/', '.5/')}","gateway":"${gateway}"}]}`
}

function using({ type, path }: Fake): {
  conf: object
  env: Record<string, string>
  delegates: number
} {
  return { conf: { ipam: { type } }, env: { CNI_PATH: path }, delegates: 1 }
}

/** cni.md 1.7, what one plugin sees of it. */
export const delegationRows: readonly Row[] = [
  {
    row: 'L1',
    rule: 'a delegate is the first regular file of its name along CNI_PATH',
    of: delegating,
    observe: async (c) => {
      const fake = fakePlugin(c, { stdout: addressOf(c) })
      const [folder, link] = [`/run/lab/d${c.number}`, `/run/lab/l${c.number}`]
      mkdirSync(hostFile(c.host, `${folder}/${fake.type}`), { recursive: true })
      mkdirSync(hostFile(c.host, link))
      symlinkSync(`${fake.folder}/${fake.type}`, hostFile(c.host, `${link}/${fake.type}`))
      const pod = await c.pod()
      const run = { ...using(fake), env: { CNI_PATH: `${folder}:${link}:/nowhere` }, pod }
      const ADD = await c.say({ ...run, command: 'ADD' })
      const DEL = await c.say({ ...run, command: 'DEL' })
      const missing = await c.say({ command: 'ADD', pod, conf: { ipam: { type: 'nope' } } })
      const { exit } = await c.run({
        command: 'ADD',
        pod,
        conf: { ipam: { type: '../plugins/nope' } },
      })
      return { ADD, DEL, asked: fake.seen().map(({ command }) => command), missing, 'a path': exit }
    },
    expect: ({ subject }) => ({
      ADD: 'result',
      DEL: 'ok',
      asked: ['ADD', 'DEL'],
      missing: own(7, `failed to find plugin "nope" in path [${folderOf(subject.maker)}]`),
      'a path': 1,
    }),
  },
  {
    row: 'L2',
    rule: 'a delegate gets the same input to the byte and the same environment',
    of: delegating,
    observe: async (c) => {
      const fake = fakePlugin(c, { stdout: addressOf(c) })
      const pod = await c.pod()
      const { conf, env, delegates } = using(fake)
      const stdin = `\n  ${JSON.stringify(c.conf(conf), null, 3)}  \n`
      const more = {
        CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=a',
        CNI_NETNS_OVERRIDE: '',
        TRACEPARENT: '00-1-1-01',
        TRACESTATE: 'a=b',
        BAGGAGE: 'x=y',
      }
      await c.result({ command: 'ADD', pod, stdin, env: { ...env, ...more }, delegates })
      const [seen] = fake.seen()
      const wanted = {
        ...more,
        ...env,
        CNI_COMMAND: 'ADD',
        CNI_NETNS: pod.path,
        CNI_IFNAME: 'eth0',
      }
      const missing = Object.entries(wanted).filter(
        ([key, value]) => !seen?.env.includes(`export ${key}='${value}'\n`),
      )
      return { 'same input': seen?.stdin === stdin, missing }
    },
    expect: { 'same input': true, missing: [] },
  },
  {
    row: 'L3',
    rule: "a delegate's standard error goes to ours",
    of: delegating,
    observe: async (c) => {
      const fake = fakePlugin(c, { stdout: addressOf(c), stderr: 'said by the delegate' })
      const pod = await c.pod()
      const { exit, stderr } = await c.run({ ...using(fake), command: 'ADD', pod })
      return { exit, heard: stderr.includes('said by the delegate') }
    },
    expect: { exit: 0, heard: true },
  },
  {
    row: 'L4',
    rule: "a delegate's error is told as it is",
    of: delegating,
    observe: async (c) => {
      const error = '{"code":77,"msg":"no luck","details":"none at all"}'
      const fake = fakePlugin(c, { fails: { ADD: error, CHECK: error } })
      const pod = await c.pod()
      const ADD = await c.say({ ...using(fake), command: 'ADD', pod, delegates: 2 })
      return { ADD }
    },
    expect: { ADD: { code: 77, msg: 'no luck', details: 'none at all' } },
  },
  {
    row: 'L5',
    rule: 'a delegate whose ADD failed is asked to DEL, and a later failure gives the address back',
    of: delegating,
    observe: async (c) => {
      const failing = fakePlugin(c, { fails: { ADD: '{"code":77,"msg":"no luck"}' } })
      const pod = await c.pod()
      await c.run({ ...using(failing), command: 'ADD', pod, delegates: 2 })
      // Its address is fine; the route that comes with it is not.
      const answer = addressOf(c).replace(
        /\}$/,
        ',"routes":[{"dst":"198.51.100.0/24","gw":"203.0.113.1"}]}',
      )
      const later = fakePlugin(c, { stdout: answer })
      const { exit } = await c.run({ ...using(later), command: 'ADD', pod, delegates: 2 })
      const commands = (fake: Fake) => fake.seen().map(({ command }) => command)
      return { failing: commands(failing), exit, later: commands(later) }
    },
    expect: { failing: ['ADD', 'DEL'], exit: 1, later: ['ADD', 'DEL'] },
  },
  {
    row: 'L6',
    rule: "a delegate runs in the runtime's network namespace",
    of: delegating,
    observe: async (c) => {
      const fake = fakePlugin(c, { stdout: addressOf(c) })
      const run = { ...using(fake), pod: await c.pod() }
      await c.result({ ...run, command: 'ADD' })
      await c.ok({ ...run, command: 'DEL' })
      return { outside: fake.seen().map(({ outside }) => outside) }
    },
    expect: { outside: [true, true] },
  },
  {
    row: 'L9',
    rule: 'a chained plugin that is called first says so',
    of: ['portmap', 'bandwidth'],
    observe: async (c) => {
      const capable = {
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
        bandwidth: { ingressRate: 8000, ingressBurst: 8000, egressRate: 8000, egressBurst: 8000 },
      }
      const conf = { prevResult: undefined, runtimeConfig: capable }
      const { exit, stdout, stderr } = await c.run({
        command: 'ADD',
        pod: await c.pod(),
        stdin: JSON.stringify(c.conf(conf)),
      })
      const { code, msg } = (stdout === '' ? {} : JSON.parse(stdout)) as {
        code?: number
        msg?: string
      }
      return { exit, said: { code, msg }, panic: stderr.includes('panic:') }
    },
    expect: { exit: 1, said: own(7, 'must be called as chained plugin'), panic: false },
  },
]
