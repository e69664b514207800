import { setTimeout as sleep } from 'node:timers/promises'
import { addHost } from '../../scripts/lab/lab.ts'
import { openWideStore, startAndTime, writeLeases } from '../../scripts/measure/daemon.ts'
import { countSent, processorMs } from '../../scripts/measure/process.ts'
import { checkEventCosts } from './daemon-scale-support.ts'
import { testWith } from './installed.ts'
import { labFor } from './support.ts'

const PEERS = 1_000
/** Longer than any period of the daemon's but that of its safety compare, which is ten minutes. */
const QUIET_MS = 35_000

testWith('etcd', 'strace')(
  'heddled asks the kernel nothing while nothing happens, and the same for an event whatever the number of peers',
  async (t) => {
    const lab = await labFor(t, { name: 'quiet' })
    const host = await addHost(lab, 1)
    const store = await openWideStore(lab)
    await writeLeases(host, { kind: 'fill', from: 0, to: 10 })
    const { daemon } = await startAndTime(host, store)
    t.teardown(() => void (t.passed || t.log(daemon.log())))
    await checkEventCosts(t, { host, daemon, counts: [10, PEERS] })
    const before = processorMs(daemon.pid)
    const sent = await countSent(host, daemon.pid, () => sleep(QUIET_MS))
    const used = processorMs(daemon.pid) - before
    t.deepEqual(sent, { messages: 0, dumps: 0 })
    // Which strace makes it more than it is.
    t.true(used < QUIET_MS / 100, `${used} ms of processor time in ${QUIET_MS} ms`)
  },
)
