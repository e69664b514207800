import { rmSync } from 'node:fs'
import type { Host, Lab } from './lab.ts'
import { attemptAt, type Background, runAt, startAt } from './place.ts'
import { type Command, until } from './run.ts'
import type { LabStore, NetworkConfig } from './store.ts'

const clientPort = 2379
export const addresses = ['10.100.0.251', '10.100.0.252', '10.100.0.253'] as const
const cutTable = 'lab-cut'

/** Three real etcd servers beyond the switch, that are one cluster. They end with the lab. */
export interface EtcdMembers extends LabStore {
  /** Runs etcdctl against whichever members live. */
  etcdctl(...args: readonly string[]): Promise<string>
  /** The command for it, at the lab's switch. */
  etcdctlCommand(...args: readonly string[]): Command
  /** Kills a member. */
  kill(member: number): Promise<void>
  start(member: number): Promise<void>
  /** The member that leads now, if there is one. */
  leader(): Promise<number | undefined>
  /** No packet passes between this host and the members any more; its other traffic does. */
  cutOff(host: Host): Promise<void>
  /** Nobody is cut off any more. */
  join(): Promise<void>
  /** Saves all there is in a file. */
  save(file: string): Promise<void>
  /** Makes the store what was saved then. Nobody is served meanwhile. */
  restore(file: string): Promise<void>
}

/** Starts the members, with the network configuration in them as an operator would put it there. */
export async function openEtcdMembers(lab: Lab, config: NetworkConfig): Promise<EtcdMembers> {
  for (const address of addresses) {
    await runAt(lab.switch, ['ip', 'address', 'add', `${address}/24`, 'dev', 'br0'])
  }
  const servers = new Map<number, Background>()
  const start = async (member: number): Promise<void> => {
    const logFile = `${lab.directory}/etcd-${member}.log`
    const server = startAt(lab.switch, ['etcd', ...memberFlags(lab, member)], { logFile })
    servers.set(member, server)
    await waitUntilHealthy(lab, member, server)
  }
  const kill = async (member: number): Promise<void> => {
    await servers.get(member)?.stop('SIGKILL')
  }
  const members = [...addresses.keys()]
  await Promise.all(members.map(start))
  const endpoints = addresses.map(clientUrl).join(',')
  const etcdctlCommand = (...args: readonly string[]): Command => ctl(endpoints, ...args)
  const etcdctl = (...args: readonly string[]): Promise<string> =>
    runAt(lab.switch, etcdctlCommand(...args))
  await etcdctl('put', '/coreos.com/network/config', JSON.stringify(config))
  return {
    kind: 'etcd',
    flags: ['--store', 'etcd', '--etcd-endpoints', endpoints],
    etcdctl,
    etcdctlCommand,
    kill,
    start,
    leader: () => findLeader(lab),
    async cutOff({ publicIP }) {
      const chain = (hook: string) =>
        `add chain inet ${cutTable} ${hook} { type filter hook ${hook} priority 0; }`
      const rules = [
        `add table inet ${cutTable}`,
        chain('input'),
        chain('output'),
        `add rule inet ${cutTable} input ip saddr ${publicIP} tcp dport ${clientPort} drop`,
        `add rule inet ${cutTable} output ip daddr ${publicIP} tcp sport ${clientPort} drop`,
      ]
      await runAt(lab.switch, ['/usr/sbin/nft', '-f', '-'], { input: rules.join('\n') })
    },
    async join() {
      await runAt(lab.switch, ['/usr/sbin/nft', 'delete', 'table', 'inet', cutTable])
    },
    async save(file) {
      await runAt(lab.switch, ctl(clientUrl(addresses[0]), 'snapshot', 'save', file))
    },
    async restore(file) {
      await Promise.all(members.map(kill))
      for (const member of members) {
        rmSync(dataDirectory(lab, member), { recursive: true })
        const flags = [`--data-dir=${dataDirectory(lab, member)}`, ...identityFlags(lab, member)]
        await runAt(lab.switch, ctl(endpoints, 'snapshot', 'restore', file, ...flags))
      }
      await Promise.all(members.map(start))
    },
  }
}

function ctl(endpoints: string, ...args: readonly string[]): Command {
  return ['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${endpoints}`, ...args]
}

function clientUrl(address: string): string {
  return `http://${address}:${clientPort}`
}

function peerUrl(address: string): string {
  return `http://${address}:2380`
}

function dataDirectory(lab: Lab, member: number): string {
  return `${lab.directory}/etcd-${member}`
}

/** What makes it that member of that cluster. */
function identityFlags(lab: Lab, member: number): string[] {
  return [
    `--name=m${member}`,
    `--initial-cluster=${addresses.map((one, i) => `m${i}=${peerUrl(one)}`).join(',')}`,
    `--initial-cluster-token=${lab.name}`,
    `--initial-advertise-peer-urls=${peerUrl(addresses[member] ?? '')}`,
  ]
}

function memberFlags(lab: Lab, member: number): string[] {
  const address = addresses[member] ?? ''
  return [
    ...identityFlags(lab, member),
    `--data-dir=${dataDirectory(lab, member)}`,
    `--listen-client-urls=${clientUrl(address)}`,
    `--advertise-client-urls=${clientUrl(address)}`,
    `--listen-peer-urls=${peerUrl(address)}`,
    '--logger=zap',
    '--log-level=warn',
  ]
}

async function waitUntilHealthy(lab: Lab, member: number, server: Background): Promise<void> {
  const isHealthy = async () => {
    if (!server.running()) throw new Error(`etcd ${member} does not start: ${server.log()}`)
    const url = clientUrl(addresses[member] ?? '')
    return (await attemptAt(lab.switch, ctl(url, 'endpoint', 'health'))).code === 0
  }
  await until(`etcd ${member} to be healthy`, isHealthy, { timeoutMs: 30_000, everyMs: 100 })
}

async function findLeader(lab: Lab): Promise<number | undefined> {
  for (const [member, address] of addresses.entries()) {
    const command = ctl(clientUrl(address), 'endpoint', 'status', '-w', 'json')
    const { code, stdout } = await attemptAt(lab.switch, command)
    if (code !== 0) continue
    // Ids are beyond what JSON.parse keeps exactly.
    const id = /"member_id":(\d+)/.exec(stdout)?.[1]
    if (id !== undefined && id === /"leader":(\d+)/.exec(stdout)?.[1]) return member
  }
  return undefined
}
