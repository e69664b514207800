import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import {
  type AttachmentRecord,
  attachmentFile,
  formatAttachment,
  RecordVersionError,
} from '../../conf/attachment-record.ts'
import { bridgesOf, pluginStateOf, readAttachments } from '../../daemon/firewall/attachments.ts'
import { formatAddress } from '../../ip/address.ts'
import { formatPrefix } from '../../ip/prefix.ts'

const link = {
  mode: 'bridge',
  netns: { path: '/run/netns/a', device: 4, inode: 7 },
  bridge: 'cni0',
  hostVeth: 'veth1',
  hostMac: '0a:00:00:00:00:01',
  mac: '0a:00:00:00:00:02',
  addresses: ['10.88.0.5/16', 'fd00:88::5/64'],
} as const

const whole: AttachmentRecord = {
  network: 'net',
  containerId: 'c1',
  ifname: 'eth0',
  link,
  masquerade: { exempt: ['10.88.0.0/16', 'fd00:88::/64'] },
  ports: {
    mappings: [
      { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
      { protocol: 'udp', hostPort: 53, containerPort: 53, hostIp: '10.0.0.1' },
    ],
    addresses: ['10.88.0.5'],
    near: ['10.88.0.0/16', '127.0.0.0/8'],
  },
}
const plain: AttachmentRecord = { network: 'net', containerId: 'c2', ifname: 'eth0', link }

function folderWith(t: ExecutionContext, ...records: readonly AttachmentRecord[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-attachments-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const record of records) {
    const { network, containerId, ifname } = record
    mkdirSync(join(folder, network), { recursive: true })
    writeFileSync(
      join(folder, attachmentFile(network, containerId, ifname)),
      formatAttachment(record),
    )
  }
  return folder
}

test('readAttachments: reads the records of every network, but not of what is ending', (t) => {
  const other = { ...plain, network: 'other', containerId: 'c3' }
  const ending = { ...whole, containerId: 'c4', ending: true } as const
  const folder = folderWith(t, whole, plain, other, ending)
  writeFileSync(join(folder, 'net/broken.json'), '{"v":1')
  writeFileSync(join(folder, 'net/.c5-eth0.json.tmp'), formatAttachment(plain))
  writeFileSync(join(folder, 'stray'), '')
  const byId = (a: AttachmentRecord, b: AttachmentRecord) =>
    a.containerId < b.containerId ? -1 : 1
  t.deepEqual(readAttachments(folder).toSorted(byId), [whole, plain, other])
})

test('readAttachments: no folder is no attachments', (t) => {
  t.deepEqual(readAttachments('/nowhere/at/all'), [])
})

test('readAttachments: a record of a newer heddle is not passed over', (t) => {
  const folder = folderWith(t, plain)
  writeFileSync(join(folder, 'net/new.json'), '{"v":2}')
  t.throws(() => readAttachments(folder), { instanceOf: RecordVersionError })
})

test('pluginStateOf: what is masqueraded and published, for the owner and at the addresses it has', (t) => {
  const { masqueraded, published } = pluginStateOf([whole, plain])
  t.is(masqueraded.length, 1)
  t.is(published.length, 1)
  const owner = { containerId: 'c1', ifname: 'eth0' }
  t.like(masqueraded[0], { network: 'net', owner })
  t.deepEqual(masqueraded[0]?.addresses.map(formatAddress), ['10.88.0.5', 'fd00:88::5'])
  t.deepEqual(masqueraded[0]?.exempt.map(formatPrefix), whole.masquerade?.exempt as string[])
  t.like(published[0], { network: 'net', owner })
  t.deepEqual(published[0]?.mappings, whole.ports?.mappings)
  t.deepEqual(published[0]?.addresses.map(formatAddress), ['10.88.0.5'])
  t.deepEqual(published[0]?.near.map(formatPrefix), ['10.88.0.0/16', '127.0.0.0/8'])
})

test('bridgesOf: each bridge once, and no other mode’s links', (t) => {
  const ptp = { ...plain, link: { ...link, mode: 'ptp', bridge: '' } } as const
  t.deepEqual(bridgesOf([whole, plain, ptp, { ...plain, link: { ...link, bridge: 'br1' } }]), [
    'cni0',
    'br1',
  ])
})
