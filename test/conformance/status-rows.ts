import { rmSync } from 'node:fs'
import { hostFile } from '../../scripts/lab/lab.ts'
import type { Case } from './case.ts'
import { fakePlugin } from './fake.ts'
import { attaching } from './result-rows.ts'
import { every, of11, type Row } from './rows.ts'

const version = { cniVersion: '1.1.0', prevResult: undefined }
const nobody = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' }

function status(c: Case, conf: object = {}, env: object = {}, delegates = 0): Promise<unknown> {
  return c.say({
    command: 'STATUS',
    env: { ...nobody, ...env },
    conf: { ...version, ...conf },
    delegates,
  })
}

/** cni.md 1.6, STATUS. */
export const statusRows: readonly Row[] = [
  {
    row: 'T1a',
    rule: 'STATUS of what is fine says nothing and changes nothing',
    of: of11(every),
    observe: async (c) => {
      const before = await c.state()
      return { STATUS: await status(c), changed: await c.changed(before) }
    },
    expect: { STATUS: 'ok', changed: [] },
  },
  {
    row: 'T1b',
    rule: 'STATUS asks the delegate, and tells what that said',
    of: (subject) => of11(attaching)(subject) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const fine = fakePlugin(c, {})
      const bad = fakePlugin(c, { fails: { STATUS: '{"code":50,"msg":"no addresses today"}' } })
      return {
        fine: await status(c, { ipam: { type: fine.type } }, { CNI_PATH: fine.path }, 1),
        bad: await status(c, { ipam: { type: bad.type } }, { CNI_PATH: bad.path }, 1),
        asked: [...fine.seen(), ...bad.seen()].map(({ command }) => command),
      }
    },
    expect: {
      fine: 'ok',
      bad: { code: 50, msg: 'no addresses today' },
      asked: ['STATUS', 'STATUS'],
    },
  },
  {
    row: 'T2',
    rule: 'STATUS without a subnet is "not available"',
    of: (subject) => subject.plugin === 'heddle' || subject.plugin === 'flannel',
    observe: async (c) => {
      c.conf()
      rmSync(hostFile(c.host, `/run/lab/subnet${c.number}.env`), { force: true })
      const { exit, stdout } = await c.run({
        command: 'STATUS',
        env: nobody,
        stdin: JSON.stringify({
          ...version,
          name: c.network,
          type: c.subject.plugin,
          subnetFile: `/run/lab/none${c.number}.env`,
        }),
      })
      return { exit, code: (JSON.parse(stdout) as { code: number }).code }
    },
    expect: { exit: 1, code: 50 },
  },
  {
    row: 'T3',
    rule: 'STATUS of a full pool is fine: a full node is not a broken one',
    of: (subject) => of11(attaching)(subject) && subject.plugin !== 'flannel',
    observe: async (c) => {
      const { ipam } = c.conf() as { ipam: object }
      const tiny = { ipam: { ...ipam, ranges: [[{ subnet: c.subnet.replace('/24', '/30') }]] } }
      await c.result({ command: 'ADD', pod: await c.pod('a'), conf: tiny })
      const full = await c.run({ command: 'ADD', pod: await c.pod('b'), conf: tiny })
      return { full: full.exit, STATUS: await status(c, tiny) }
    },
    expect: { full: 1, STATUS: 'ok' },
  },
  {
    row: 'T4',
    rule: 'ADD does not need that STATUS was asked',
    of: of11(attaching),
    observe: async (c) => ({ ADD: await c.say({ command: 'ADD', pod: await c.pod() }) }),
    expect: { ADD: 'result' },
  },
]
