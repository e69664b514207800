import { waitForPeers } from '../../scripts/lab/heddle.ts'
import { addHost } from '../../scripts/lab/lab.ts'
import { openWideStore, startAndTime, writeLeases } from '../../scripts/measure/daemon.ts'
import { memoryOf, untilIdle } from '../../scripts/measure/process.ts'
import { testWith } from './installed.ts'
import { labFor } from './support.ts'

const PEERS = 1_000
/** An idle daemon has 70, and 115 with ten times the peers. */
const MEMORY_MB = 130

testWith('etcd')(
  'heddled follows 200 changes a second among 1,000 peers, in little memory',
  async (t) => {
    const lab = await labFor(t, { name: 'scale' })
    const host = await addHost(lab, 1)
    const store = await openWideStore(lab)
    await writeLeases(host, { kind: 'fill', from: 0, to: PEERS })
    const { daemon, readyMs, programMs } = await startAndTime(host, store)
    t.teardown(() => void (t.passed || t.log(daemon.log())))
    await waitForPeers(host, PEERS)
    const changing = { kind: 'change', hosts: PEERS, perSecond: 200, seconds: 5 } as const
    const { missing, latencies } = await writeLeases(host, changing)
    t.is(missing, 0)
    await untilIdle(daemon.pid)
    const { now, peak } = memoryOf(daemon.pid)
    t.log(
      `ready after ${readyMs.toFixed(0)} ms, of it programming ${programMs} ms; the slowest change after ${Math.max(...latencies).toFixed(0)} ms; ${now.toFixed(0)} MB, at most ${peak.toFixed(0)}`,
    )
    t.true(now < MEMORY_MB, `${now} MB`)
  },
)
