import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { ExecutionContext } from 'ava'
import type { EtcdMembers } from '../../scripts/lab/etcd-members.ts'
import { subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile, type Lab } from '../../scripts/lab/lab.ts'
import type { Belief, History, StoreHistory, StoreList, StoreWrite } from './lease-history.ts'

const folder = '/coreos.com/network/subnets/'
/** Each host's files are read that often; of many hosts, less often. */
const sampleMs = { least: 50, perHost: 10 } as const

/** Records who holds which subnet until it is stopped: by the store, and by the daemons' own word. */
export interface Recorder {
  /** To be called before the store is put back to an older copy, and the answer after it. */
  pause(): Promise<() => Promise<void>>
  stop(): Promise<History>
}

/** How etcd's own client is run. */
export type Etcd = Pick<EtcdMembers, 'etcdctl' | 'etcdctlCommand'>

/** Holders go by their public address, which in a lab names a host. */
export async function recordLeases(
  t: ExecutionContext,
  lab: Lab,
  etcd: Etcd,
  hosts: readonly Host[],
): Promise<Recorder> {
  const beliefs: Belief[] = []
  const sampling = setInterval(
    () => {
      for (const host of hosts) beliefs.push(beliefOf(host))
    },
    Math.max(sampleMs.least, sampleMs.perHost * hosts.length),
  )
  const stores: (StoreHistory & AsyncDisposable)[] = [await recordStore(lab, etcd)]
  const pause = async (): Promise<() => Promise<void>> => {
    await stores.at(-1)?.[Symbol.asyncDispose]()
    return async () => void stores.push(await recordStore(lab, etcd))
  }
  const end = async (): Promise<void> => {
    clearInterval(sampling)
    await pause()
  }
  t.teardown(end)
  return {
    pause,
    async stop() {
      await end()
      return { stores, beliefs, end: bootMs() }
    },
  }
}

/** The clock that daemons tell the end of their leases by: ms since boot, to 10 ms. */
function bootMs(): number {
  return Math.round(Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000)
}

/** What a host's daemon, running or not, has left in its files. */
function beliefOf(host: Host): Belief {
  const word = { at: bootMs(), holder: host.publicIP, key: undefined, until: 0 }
  try {
    const read = (path: string): string => readFileSync(hostFile(host, path), 'utf8')
    const status = JSON.parse(read(`${subnetFile}.status.json`)) as { expires?: number }
    const gateway = /^FLANNEL_SUBNET=([\d.]+)\.1\/(\d+)$/m.exec(read(subnetFile))
    if (!gateway || status.expires === undefined) return word
    return { ...word, key: `${gateway[1]}.0-${gateway[2]}`, until: status.expires }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return word
    throw error
  }
}

/** etcd's own client lists the leases and watches from there; each write is stamped as it arrives. */
async function recordStore(lab: Lab, etcd: Etcd): Promise<StoreHistory & AsyncDisposable> {
  const list = readList(await etcd.etcdctl('get', '--prefix', folder, '-w', 'json'))
  const writes: StoreWrite[] = []
  const from = `--rev=${list.revision + 1}`
  const watch = etcd.etcdctlCommand('watch', '--prefix', from, '-w', 'json', folder)
  const [file, ...args] = [...lab.switch.enter, ...watch]
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface({ input: child.stdout }).on('line', (line) => writes.push(...readEvents(line)))
  return {
    list,
    writes,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

/** Keys and values are base64, as etcd's JSON has them; absent numbers are 0. */
interface KeyValue {
  readonly key: string
  readonly value?: string
  readonly mod_revision: number
}

function readList(json: string): StoreList {
  const { header, kvs = [] } = JSON.parse(json) as {
    header: { revision: number }
    kvs?: readonly KeyValue[]
  }
  const holders = Object.fromEntries(kvs.map((kv) => [keyOf(kv), holderOf(kv)]))
  return { at: bootMs(), revision: header.revision, holders }
}

function readEvents(line: string): StoreWrite[] {
  const { Events: events = [] } = JSON.parse(line) as {
    Events?: readonly { type?: number; kv: KeyValue }[]
  }
  return events.map(({ type, kv }) => {
    const write = { at: bootMs(), revision: kv.mod_revision, key: keyOf(kv) }
    return type === 1 ? write : { ...write, holder: holderOf(kv) }
  })
}

function keyOf({ key }: KeyValue): string {
  return Buffer.from(key, 'base64').toString().slice(folder.length)
}

function holderOf({ value = '' }: KeyValue): string {
  const { PublicIP } = JSON.parse(Buffer.from(value, 'base64').toString()) as { PublicIP: string }
  return PublicIP
}
