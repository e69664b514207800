import { addHost } from '../../scripts/lab/lab.ts'
import { networkConfig } from '../../scripts/lab/store.ts'
import { dump, remakeByHand } from '../../scripts/measure/handmade.ts'
import { compareLines, layLine } from '../../scripts/measure/throughput.ts'
import { testWith } from './installed.ts'
import { hostsFor, labFor, nth, startCluster } from './support.ts'

testWith('iperf3', '/usr/sbin/nft')(
  'a network of the daemon’s is, to the kernel and to TCP, one that was made by hand',
  async (t) => {
    const hosts = await hostsFor(t, { name: 'speed', count: 2 })
    await startCluster(t, hosts, { store: 'sqlite', config: networkConfig({ Type: 'vxlan' }) })
    const lab = await labFor(t, { name: 'by-hand' })
    const remade = [await addHost(lab, 1), await addHost(lab, 2)]
    await remakeByHand(hosts, remade)
    for (const at of [0, 1]) {
      t.deepEqual(await dump(nth(hosts, at)), await dump(nth(remade, at)))
    }
    const [line, other] = [await layLine(hosts), await layLine(remade)]
    const pairs = { least: 3, most: 40 }
    const share = await compareLines(line, other, { seconds: 1, pairs, enough: 0.97 })
    t.log(`${share.median.toFixed(3)} of what goes through by hand, ${share.ratios.length} pairs`)
    t.true(share.median >= 0.9, share.ratios.join(' '))
  },
)
