import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { readLease } from '../../scripts/lab/heddle.ts'
import { addHost } from '../../scripts/lab/lab.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import {
  assertNothingLost,
  assertSharing,
  etcdClusterFor,
  phantom,
  pingEveryPair,
  startShown,
  statusOf,
  wrongOn,
} from './faults-support.ts'
import type { StoredLease } from './kernel-check.ts'
import { recordLeases } from './lease-recorder.ts'
import { leasesIn, untilNoneWrong } from './lease-writer.ts'
import { attachAll, nth } from './support.ts'

/** Hosts take subnets from there up; below are those of hosts that are not there. */
const config = { ...networkConfig({ Type: 'vxlan' }), SubnetMin: '10.244.100.0' }

test('heddled on three etcd members: one that leads is killed, then all leases are deleted', async (t) => {
  const { lab, etcd, hosts } = await etcdClusterFor(t, { name: 'fault-leader', count: 3, config })
  const leases = leasesIn((...args) => etcd.etcdctl(...args))
  const before = hosts.map((host) => readLease(host))
  const recorder = await recordLeases(t, lab, etcd, hosts)
  const pings = pingEveryPair(lab, await attachAll(hosts, 1))
  const look = async () => {
    const all = await leases.list()
    return (await Promise.all(hosts.map((host) => wrongOn(host, all)))).flat()
  }

  const leader = await until('a leader', () => etcd.leader(), { timeoutMs: 20_000 })
  await etcd.kill(leader)
  await until('another leader', () => etcd.leader(), { timeoutMs: 20_000 })
  await leases.put(phantom(1))
  t.is((await leases.list()).length, 4)
  t.deepEqual(await untilNoneWrong(look, 20_000), [])
  await etcd.start(leader)
  await leases.delete(phantom(1).key)
  t.deepEqual(await untilNoneWrong(look, 20_000), [])

  await etcd.etcdctl('del', '--prefix', '/coreos.com/network/subnets/')
  const isBack = async () => (await leases.list()).length === 3
  await until('the leases to be back', isBack, { timeoutMs: 20_000 })
  t.deepEqual(await untilNoneWrong(look, 20_000), [])
  // Whatever would be deleted for the bad news would be so after the time its owner has.
  await sleep(6_000)
  t.deepEqual(await look(), [])

  t.deepEqual(
    hosts.map((host) => readLease(host)),
    before,
  )
  await assertNothingLost(t, pings)
  assertSharing(t, await recorder.stop())
})

test('heddled on three etcd members: a host is cut off until it cannot renew, and what it missed is compacted', async (t) => {
  // Renewed 10 s after it was taken, and again and again; 60 s are left then.
  const flags = ['--subnet-lease-ttl', '70', '--subnet-lease-renew-margin', '1']
  const options = { name: 'fault-cut', count: 3, config, flags }
  const { lab, etcd, hosts, daemons } = await etcdClusterFor(t, options)
  const [host, daemon] = [nth(hosts, 2), nth(daemons, 2)]
  const leases = leasesIn((...args) => etcd.etcdctl(...args))
  const before = readLease(host)
  const recorder = await recordLeases(t, lab, etcd, hosts)
  const pings = pingEveryPair(lab, await attachAll(hosts, 1))
  const [gone, other, fresh] = [phantom(1), phantom(2), phantom(3)]
  for (const lease of [gone, other]) await leases.put(lease)
  const look = async () => wrongOn(host, await leases.list())
  t.deepEqual(await untilNoneWrong(look, 10_000), [])

  await etcd.cutOff(host)
  await leases.delete(gone.key)
  // The same subnet, with another MAC at another place: what compares subnets alone would miss it.
  const moved: StoredLease = { ...phantom(4), key: other.key }
  await leases.put(moved)
  await leases.put(fresh)
  const revision = /"revision":(\d+)/.exec(await etcd.etcdctl('get', 'x', '-w', 'json'))?.[1] ?? ''
  await etcd.etcdctl('compact', revision)
  const hasFailed = () => daemon.log().includes('lease not renewed')
  await until('a renewal to fail', hasFailed, { timeoutMs: 40_000 })
  t.not((await look()).length, 0, 'it knows of nothing')
  await etcd.join()
  t.deepEqual(await untilNoneWrong(look, 40_000), [])
  t.deepEqual(readLease(host), before)

  await assertNothingLost(t, pings)
  assertSharing(t, await recorder.stop())
  t.true(daemon.running())
})

/** Of the subnets there are just as many as hosts. */
const narrow = { ...config, SubnetMax: '10.244.102.0' }

test('heddled on three etcd members: a host is cut off until its lease ends, and another host takes its subnet', async (t) => {
  // Renewed after half of it: a disk that hangs for seconds must not end the others' leases too.
  const flags = ['--subnet-lease-ttl', '16']
  const options = { name: 'fault-end', count: 3, config: narrow, flags }
  const { lab, etcd, hosts, daemons } = await etcdClusterFor(t, options)
  const [host, daemon] = [nth(hosts, 2), nth(daemons, 2)]
  const before = readLease(host)
  const other = await addHost(lab, 4)
  const recorder = await recordLeases(t, lab, etcd, [...hosts, other])
  const pings = pingEveryPair(lab, (await attachAll(hosts, 1)).slice(0, 2))

  await etcd.cutOff(host)
  const taker = await startShown(t, other, etcd, flags)
  t.deepEqual(readLease(other).subnet, before.subnet)
  const hasEnded = () => statusOf(host).error?.includes('has ended: it could not be renewed')
  await until('the host to say that its lease has ended', hasEnded, { timeoutMs: 45_000 })
  await etcd.join()
  const isTold = () => statusOf(host).error?.includes(other.publicIP)
  await until('the host to know who has its subnet', isTold, { timeoutMs: 30_000 })
  t.false(statusOf(host).ready)
  t.true(daemon.running())

  await taker.stop('SIGKILL')
  const isBack = () => statusOf(host).ready
  await until('the host to have its subnet again', isBack, { timeoutMs: 30_000 })
  t.deepEqual(readLease(host), before)
  const look = async () => {
    const all = await leasesIn((...args) => etcd.etcdctl(...args)).list()
    return (await Promise.all(hosts.map((one) => wrongOn(one, all)))).flat()
  }
  t.deepEqual(await untilNoneWrong(look, 20_000), [])

  await assertNothingLost(t, pings)
  assertSharing(t, await recorder.stop())
})
