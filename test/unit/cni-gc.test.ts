import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { staleIfbs, staleVeths } from '../../cni/clean-up/stale-links.ts'
import { ifbNames, ifbTag } from '../../cni/features/ifb.ts'
import { runningAdds } from '../../cni/records/running.ts'
import { hostVethMac, hostVethName } from '../../cni/stable-names.ts'
import type { Mac } from '../../ip/mac.ts'
import type { Link } from '../../netlink/link.ts'

const sha512Hex = (text: string) => Buffer.from(text).toString('hex').padEnd(128, '0')

let links = 0
function link(kind: string, name: string, more: Partial<Link> = {}): Link {
  const state = { up: true, running: true, operstate: 6, promiscuous: false, mtu: 1500 }
  return { index: ++links, kind, name, ...state, ...more }
}

function keyOf(containerId: string, network = 'net') {
  return { network, containerId, ifname: 'eth0' }
}

const stale = (containerId: string) => ({ key: keyOf(containerId), record: undefined })

test('staleVeths goes by the name and the MAC address that ADD gives', (t) => {
  const key = keyOf('c1')
  const own = link('veth', hostVethName(key, 1), { mac: hostVethMac(key) })
  const others = [
    link('veth', hostVethName(key, 0), { mac: '02:00:00:00:00:01' as Mac }),
    link('veth', 'veth1', { mac: hostVethMac(key) }),
    link('dummy', hostVethName(key, 0), { mac: hostVethMac(key) }),
  ]
  t.deepEqual(staleVeths([...others, own], [stale('c1'), stale('c2')]), [own])
  t.deepEqual(staleVeths([own], [stale('c2')]), [])
})

test('staleIfbs takes those marked as of the network and not kept, and unmarked ones by name', (t) => {
  const [name] = ifbNames(keyOf('c2'), { sha512Hex })
  const gone = [link('ifb', 'bwp1', { alias: ifbTag(keyOf('c1')) }), link('ifb', name)]
  const others = [
    link('ifb', 'bwp3', { alias: ifbTag(keyOf('kept')) }),
    link('ifb', 'bwp4', { alias: ifbTag(keyOf('c1', 'net2')) }),
    link('ifb', 'bwp5'),
    link('ifb', 'ifb0', { alias: 'net' }),
    link('veth', 'bwp6', { alias: ifbTag(keyOf('c1')) }),
  ]
  const keep = [{ containerId: 'kept', ifname: 'eth0' }]
  const collection = { network: 'net', keep, stale: [stale('c2')] }
  t.deepEqual(staleIfbs([...others, ...gone], collection, { sha512Hex }), gone)
})

test('ifbNames gives a name of 15 characters that the reference plugin gives, and one of our own', (t) => {
  const hex = () => 'b1946ac92492d2347c6235b4d2611184'.repeat(4)
  t.deepEqual(ifbNames(keyOf('c1'), { sha512Hex: hex })[0], 'bwpb1946ac92492')
  const texts: string[] = []
  ifbNames(keyOf('c1'), { sha512Hex: (text) => (texts.push(text), hex()) })
  t.deepEqual(texts, ['netc1', 'netc1eth0'])
})

test('runningAdds finds the containers of processes that are an ADD', (t) => {
  const proc = mkdtempSync(join(tmpdir(), 'heddle-proc-'))
  t.teardown(() => rmSync(proc, { recursive: true }))
  const environments: Record<string, Record<string, string>> = {
    '1': { PATH: '/bin' },
    '20': { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0' },
    '21': { CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'c2', CNI_IFNAME: 'eth0' },
    '22': { CNI_COMMAND: 'ADD', CNI_CONTAINERID: '', CNI_IFNAME: 'eth0' },
    self: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c3', CNI_IFNAME: 'eth0' },
  }
  for (const [pid, environment] of Object.entries(environments)) {
    mkdirSync(join(proc, pid))
    const text = Object.entries(environment).map(([key, value]) => `${key}=${value}\0`)
    writeFileSync(join(proc, pid, 'environ'), text.join(''))
  }
  // One that has ended meanwhile.
  mkdirSync(join(proc, '30'))
  t.deepEqual(runningAdds(proc), [{ containerId: 'c1', ifname: 'eth0' }])
})
