import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { readLease } from '../../scripts/lab/heddle.ts'
import type { Host } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { changes } from './cni-support.ts'
import { statusOf } from './daemon-support.ts'
import { openLeases, untilNoneWrong } from './lease-writer.ts'
import { attachAll, hostsFor, nth, startCluster } from './support.ts'

const durationMs = 40_000

function sh(host: Host, command: string): Promise<string> {
  return runAt(host, ['sh', '-c', command])
}

async function kept(host: Host): Promise<string[]> {
  const commands = [
    'ip -o -d link show type vxlan',
    'ip -o address show type vxlan',
    'ip -4 route show proto 104',
    'ip -6 route show proto 104',
    'ip neigh show nud permanent',
    'bridge fdb | grep " dst "',
    '/usr/sbin/nft list table inet heddle-net-default',
  ]
  const text = await sh(host, commands.map((command) => `${command} || true`).join('; '))
  return text
    .split('\n')
    .map((line) => line.replace(/^\d+: /, '').replace(/ tentative| linkdown/, ''))
    .toSorted()
}

/** What is done to a host, again and again and all at once. */
function mischief(subnet: string, ipv6Subnet: string): string[] {
  return [
    'ip link delete flannel.1',
    'ip link delete flannel-v6.1',
    'ip link set flannel.1 down',
    'ip link set flannel-v6.1 down',
    'ip link set flannel.1 name elsewhere',
    'ip link set flannel-v6.1 address 0e:00:00:00:00:01',
    'ip link set flannel.1 type vxlan id 1 local 10.100.0.77',
    'ip address flush dev flannel.1 scope global',
    'ip neigh flush dev flannel.1 nud permanent',
    'bridge fdb flush dev flannel-v6.1',
    'bridge fdb append 0e:00:00:00:00:02 dev flannel.1 dst 10.100.0.99',
    `ip route delete ${subnet}`,
    `ip -6 route delete ${ipv6Subnet}`,
    `ip route replace ${subnet} via 10.100.0.254; sleep 0.1; ip route delete ${subnet} via 10.100.0.254`,
    `ip -6 route replace ${ipv6Subnet} via fd00:100::fe; sleep 0.1; ip -6 route delete ${ipv6Subnet} via fd00:100::fe`,
    'ip route add 10.100.0.2 via 10.100.0.254; sleep 0.1; ip route delete 10.100.0.2',
    'ip route flush proto 104',
    '/usr/sbin/nft flush ruleset',
    'for n in $(seq 50); do ip link add v$n type veth peer name w$n; ip link set v$n up; ip link delete v$n; done',
    'seq -f "route add 172.16.%g.0/24 via 10.100.0.254" 0 255 | ip -batch -; ip route flush root 172.16.0.0/16',
  ]
}

for (const backend of [
  { Type: 'vxlan' },
  { Type: 'vxlan', DirectRouting: true },
  { Type: 'host-gw' },
]) {
  const name = `${backend.Type}${backend.DirectRouting ? '-direct' : ''}`
  test(`heddled with ${name} is as it was after everything was done to it at the same time`, async (t) => {
    const hosts = await hostsFor(t, { name: `chaos-${name}`, count: 2 })
    const config = { ...networkConfig(backend, { ipv6: true }), SubnetMin: '10.244.100.0' }
    const { lab, daemons } = await startCluster(t, hosts, { store: 'sqlite', config })
    const [host, peer] = [nth(hosts, 0), nth(hosts, 1)]
    const { subnet, ipv6Subnet = '' } = readLease(peer)
    const [from, to] = await attachAll(hosts, 1)
    if (!from || !to) throw new Error('no containers')
    const stray = '10.244.255.0/24'
    await sh(host, `ip route add ${stray} via 10.100.0.2 proto 104`)
    const isPruned = async () => (await sh(host, `ip route show ${stray}`)) === ''
    await until('what nobody wants to go', isPruned, { timeoutMs: 15_000 })
    const before = await kept(host)
    const leases = openLeases(t, lab, 'sqlite')
    const end = Date.now() + durationMs
    const bad = mischief(subnet, ipv6Subnet)
    const vandal = async (): Promise<void> => {
      while (Date.now() < end) {
        const command = bad[Math.floor(Math.random() * bad.length)] ?? ''
        await attemptAt(host, ['sh', '-c', command])
        await sleep(Math.random() * 150)
      }
    }
    // Peers come and go meanwhile.
    const busy = async (): Promise<void> => {
      for (let n = 0; Date.now() < end; n++) {
        const data = {
          VNI: 1,
          VtepMAC: `0e:00:00:00:01:${(n % 200).toString(16).padStart(2, '0')}`,
        }
        const key = `10.244.${1 + (n % 7)}.0-24`
        const value = {
          PublicIP: `10.100.0.${100 + (n % 50)}`,
          PublicIPv6: null,
          BackendType: backend.Type,
          ...(backend.Type === 'vxlan' && { BackendData: data }),
        }
        if (n % 3 === 2) await leases.delete(key)
        else await leases.put({ key, value })
        await sleep(30)
      }
      for (let n = 1; n < 8; n++) await leases.delete(`10.244.${n}.0-24`)
    }
    await Promise.all([vandal(), vandal(), vandal(), busy()])
    const isBack = async () => changes(before, await kept(host))
    t.deepEqual(await untilNoneWrong(isBack, 15_000), [])
    t.true(nth(daemons, 0).running())
    await until('all to be well', async () => (await statusOf(host)).problems === undefined, {
      timeoutMs: 40_000,
    })
    for (const address of to.addresses) {
      t.true((await ping(from, address, { count: 3, intervalMs: 200 })).received > 0, address)
    }
  })
}
