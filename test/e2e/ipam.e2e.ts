import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { execa } from 'execa'
import { dist } from '../../scripts/lab/heddle.ts'
import { attempt, type Outcome } from '../../scripts/lab/run.ts'
import { testWith } from './installed.ts'

const ours = join(dist, 'heddle-ipam')
const upstreams = '/usr/lib/cni/host-local'
const withUpstream = testWith(upstreams)

/** The addresses of a network's folder and what their files hold. */
type Files = Readonly<Record<string, string>>

/** A data folder of one network, used by both plugins. */
class Network {
  readonly #dataDir = mkdtempSync(join(tmpdir(), 'heddle-ipam-e2e-'))
  readonly folder = join(this.#dataDir, 'net')
  readonly staging = join(this.#dataDir, '.heddle/net/new')
  readonly #conf: string

  constructor(t: ExecutionContext, subnet: string) {
    t.teardown(() => rmSync(this.#dataDir, { recursive: true }))
    mkdirSync(this.folder)
    const ipam = { type: 'host-local', dataDir: this.#dataDir, subnet }
    this.#conf = JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'x', ipam })
  }

  call(
    program: string,
    command: string,
    containerId: string,
    timeoutMs = 60_000,
  ): Promise<Outcome> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: '/run/netns/none',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
    }
    return attempt([program], { env, input: this.#conf, timeoutMs })
  }

  /** Starts all calls while the folder is locked, so that they meet at the lock. */
  async callAtOnce(calls: readonly (readonly [string, string, string])[]): Promise<Outcome[]> {
    const holder = execa('flock', [join(this.folder, 'lock'), 'cat'])
    await sleep(200)
    const outcomes = Promise.all(calls.map((call) => this.call(...call)))
    await sleep(1500 + 10 * calls.length)
    holder.stdin.end()
    await holder
    return outcomes
  }

  files(): Files {
    const names = readdirSync(this.folder).filter((name) => /^\d/.test(name))
    const read = (name: string) => readFileSync(join(this.folder, name), 'utf8')
    return Object.fromEntries(names.map((name) => [name, read(name)]))
  }
}

/** Containers by turns of both plugins: the program, and the container's id. */
function byTurns(count: number): (readonly [program: string, id: string])[] {
  return Array.from({ length: count }, (_, i) => [i % 2 === 0 ? ours : upstreams, `c${i}`] as const)
}

function addressOf({ stdout }: Outcome): string {
  const [ip] = (JSON.parse(stdout) as { ips: { address: string }[] }).ips
  return ip?.address.split('/')[0] ?? ''
}

/** Every answered address is in the folder under its own container, and nothing else is. */
function assertExact(
  t: ExecutionContext,
  files: Files,
  added: readonly (readonly [id: string, outcome: Outcome])[],
): void {
  const expected = added.map(([id, outcome]) => [addressOf(outcome), `${id}\r\neth0`] as const)
  t.is(new Set(expected.map(([address]) => address)).size, added.length, 'no address twice')
  t.deepEqual(files, Object.fromEntries(expected))
}

for (const { subnet, processes, usable } of [
  { subnet: '10.90.1.0/24', processes: 40, usable: 253 },
  { subnet: '10.90.2.0/26', processes: 80, usable: 61 },
  { subnet: '10.90.4.0/24', processes: 200, usable: 253 },
]) {
  withUpstream(
    `heddle-ipam and host-local: ${processes} processes at once share ${subnet}`,
    async (t) => {
      const net = new Network(t, subnet)
      const containers = byTurns(processes)
      const outcomes = await net.callAtOnce(containers.map(([program, id]) => [program, 'ADD', id]))
      const added: [id: string, outcome: Outcome][] = []
      for (const [i, outcome] of outcomes.entries()) {
        const [program, id] = containers[i] ?? ['', '']
        if (outcome.code === 0) {
          added.push([id, outcome])
          continue
        }
        const { code, msg } = JSON.parse(outcome.stdout) as { code: number; msg: string }
        t.regex(msg, /no IP addresses available in range set/)
        t.is(code, program === ours ? 11 : 999)
      }
      t.is(added.length, Math.min(processes, usable), 'every place is filled')
      assertExact(t, net.files(), added)

      const other = (program: string) => (program === ours ? upstreams : ours)
      const freed = await net.callAtOnce(
        containers.map(([program, id]) => [other(program), 'DEL', id]),
      )
      t.true(freed.every(({ code, stdout }) => code === 0 && stdout === ''))
      t.deepEqual(net.files(), {})
      t.deepEqual(readdirSync(net.staging), [])
    },
  )
}

withUpstream(
  'heddle-ipam and host-local: neither loses an address when both are killed',
  async (t) => {
    const net = new Network(t, '10.90.3.0/26')
    const containers = byTurns(120)
    for (const [i, [program, id]] of containers.entries()) {
      // ADD takes 3 to 9 ms: this kills before, during and after.
      await net.call(program, 'ADD', id, 1 + (i % 12))
      // Some stay to the end, so that the next ones meet what they left.
      if (i % 4 !== 0) await net.call(ours, 'DEL', id)
    }
    await Promise.all(containers.map(([, id]) => net.call(ours, 'DEL', id)))
    // What a killed host-local left empty belongs to nobody; ADD takes it, below.
    const left = Object.entries(net.files()).filter(([, content]) => content !== '')
    t.deepEqual(left, [])
    t.deepEqual(readdirSync(net.staging), [])

    const added: [id: string, outcome: Outcome][] = []
    for (let i = 0; i < 61; i++) {
      const outcome = await net.call(ours, 'ADD', `n${i}`)
      t.is(outcome.code, 0, outcome.stdout)
      added.push([`n${i}`, outcome])
    }
    assertExact(t, net.files(), added)
  },
)
