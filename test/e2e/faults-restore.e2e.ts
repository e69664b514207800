import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { openEtcdMembers } from '../../scripts/lab/etcd-members.ts'
import { readLease, subnetFile, waitForPeers } from '../../scripts/lab/heddle.ts'
import { hostFile } from '../../scripts/lab/lab.ts'
import { until } from '../../scripts/lab/run.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import {
  assertNothingLost,
  assertSharing,
  phantom,
  pingEveryPair,
  startShown,
  statusOf,
  wrongOn,
} from './faults-support.ts'
import { recordLeases } from './lease-recorder.ts'
import { leasesIn, untilNoneWrong } from './lease-writer.ts'
import { attachAll, hostsFor, nth } from './support.ts'

/** Of the subnets there are just as many as hosts. */
const narrow = {
  ...networkConfig({ Type: 'vxlan' }),
  SubnetMin: '10.244.100.0',
  SubnetMax: '10.244.102.0',
}

test('heddled on three etcd members: the data is put back from a copy in which another host had a subnet', async (t) => {
  const hosts = await hostsFor(t, { name: 'fault-copy', count: 3 })
  const [one, two, three] = [nth(hosts, 0), nth(hosts, 1), nth(hosts, 2)]
  const { lab } = one
  const etcd = await openEtcdMembers(lab, narrow)
  const leases = leasesIn((...args) => etcd.etcdctl(...args))
  await startShown(t, one, etcd)
  const former = await startShown(t, two, etcd)
  const passed = readLease(two).subnet
  const copy = `${lab.directory}/copy.db`
  await etcd.save(copy)

  // The second host's subnet passes to the third, and the second gets the one that is left.
  await former.stop()
  await leases.delete(passed.replace('/', '-'))
  const taken = [passed, readLease(one).subnet]
  const left = [100, 101, 102].find((n) => !taken.includes(`10.244.${n}.0/24`)) ?? 0
  await leases.put(phantom(left))
  const daemon3 = await startShown(t, three, etcd)
  await leases.delete(phantom(left).key)
  // It has forgotten all but who it is.
  for (const path of [subnetFile, '/var/lib/heddle/default/leases.json']) {
    rmSync(hostFile(two, path))
  }
  const daemon2 = await startShown(t, two, etcd)
  const hold = hosts.map((host) => readLease(host))
  t.deepEqual(
    hold.map(({ subnet }) => subnet),
    [taken[1], `10.244.${left}.0/24`, passed],
  )
  for (const host of hosts) await waitForPeers(host, 2)
  const settled = await leases.list()
  const look = async () => (await Promise.all(hosts.map((host) => wrongOn(host, settled)))).flat()
  const containers = await attachAll(hosts, 1)
  t.deepEqual(await untilNoneWrong(look, 20_000), [])
  const recorder = await recordLeases(t, lab, etcd, hosts)
  const pings = pingEveryPair(lab, containers)

  // So that the others see first what the copy says, and it cannot mend it at once.
  await etcd.cutOff(two)
  const goOn = await recorder.pause()
  await etcd.restore(copy)
  await goOn()
  const hasLost = () => daemon3.log().includes('lease lost to another host')
  await until('the third host to see who has its subnet', hasLost, { timeoutMs: 30_000 })
  await sleep(2_000)
  await etcd.join()
  const isSettled = async () => isDeepStrictEqual(await leases.list(), settled)
  await until('the leases to be as before', isSettled, { timeoutMs: 30_000 })
  t.deepEqual(await untilNoneWrong(look, 30_000), [])
  // Longer than a path stays whose lease has gone.
  await sleep(6_000)
  t.deepEqual(await look(), [])
  t.deepEqual(
    hosts.map((host) => readLease(host)),
    hold,
  )
  for (const host of hosts) t.true(statusOf(host).ready)

  await assertNothingLost(t, pings)
  const sharings = assertSharing(t, await recorder.stop(), 10_000)
  t.true(sharings.every(({ subnet }) => subnet === passed))
  for (const daemon of [daemon2, daemon3]) {
    const isReport = (line: string) => /^(?:warn|error)/.test(line) && line.includes(passed)
    t.true(daemon.log().split('\n').some(isReport), `${passed} in ${daemon.log()}`)
  }
})

test('heddled on three etcd members: a new host is given what the copy does not know another host to have', async (t) => {
  const hosts = await hostsFor(t, { name: 'fault-new', count: 3 })
  const [one, two, fresh] = [nth(hosts, 0), nth(hosts, 1), nth(hosts, 2)]
  const { lab } = one
  const pool = { ...narrow, SubnetMax: '10.244.101.0' }
  const etcd = await openEtcdMembers(lab, pool)
  await startShown(t, one, etcd)
  const copy = `${lab.directory}/copy.db`
  await etcd.save(copy)
  const holder = await startShown(t, two, etcd)
  const { subnet } = readLease(two)
  const key = subnet.replace('/', '-')
  for (const host of [one, two]) await waitForPeers(host, 1)
  const recorder = await recordLeases(t, lab, etcd, hosts)

  const goOn = await recorder.pause()
  // Held up, so that it cannot put its lease back before the new host looks for a place.
  holder.signal('SIGSTOP')
  await etcd.restore(copy)
  await goOn()
  const taker = await startShown(t, fresh, etcd)
  t.is(readLease(fresh).subnet, subnet)
  holder.signal('SIGCONT')
  const isTold = () => statusOf(two).error?.includes(`now belongs to ${fresh.publicIP}`)
  await until('the holder to know who has its subnet', isTold, { timeoutMs: 30_000 })
  const isReport = (line: string) => line.startsWith('error') && line.includes(key)
  const tells = () => taker.log().split('\n').some(isReport)
  await until('the new host to tell of the holder', tells, { timeoutMs: 30_000 })
  t.true(
    holder
      .log()
      .split('\n')
      .some((line) => line.startsWith('error') && line.includes(subnet)),
  )
  t.true(holder.running() && taker.running())
  t.true(statusOf(fresh).ready)
  t.false(statusOf(two).ready)

  const sharings = assertSharing(t, await recorder.stop(), 10_000)
  t.deepEqual(
    sharings.map((one) => [one.subnet, ...one.holders]),
    [[subnet, two.publicIP, fresh.publicIP]],
  )
})
