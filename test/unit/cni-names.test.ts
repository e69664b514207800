import test from 'ava'
import * as fc from 'fast-check'
import { bridgeMac, containerMac, hostVethMac, hostVethName } from '../../cni/stable-names.ts'
import {
  type AttachmentRecord,
  attachmentFile,
  formatAttachment,
  type LinkRecord,
  parseAttachment,
} from '../../conf/attachment-record.ts'

const key = { network: 'net', containerId: 'c1', ifname: 'eth0' }

test('names and MAC addresses stay the same in every release', (t) => {
  // DEL by a newer heddle must find what an older one made.
  t.is(hostVethName(key, 0), 'veth443dca40')
  t.is(hostVethName(key, 1), 'veth16aa7683')
  t.is<string, string>(hostVethMac(key), 'ea:e3:9e:26:18:01')
  t.is<string, string>(containerMac(key), '6e:08:37:fe:13:19')
})

test('names and MAC addresses differ between attachments, ends and attempts', (t) => {
  const keys = [key, { ...key, ifname: 'eth1' }, { ...key, network: 'netc1', containerId: 'x' }]
  const made = keys.flatMap((one) => [
    hostVethName(one, 0),
    hostVethName(one, 1),
    hostVethMac(one),
    containerMac(one),
  ])
  t.is(new Set(made).size, made.length)
})

test('MAC addresses are local and of one station', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (containerId, ifname) => {
      for (const mac of [
        hostVethMac({ ...key, containerId, ifname }),
        bridgeMac(ifname, 'b', []),
      ]) {
        t.is(Number.parseInt(mac.slice(0, 2), 16) & 3, 2)
      }
    }),
  )
})

test('attachmentFile keeps different attachments apart', (t) => {
  const files = [
    attachmentFile('n', 'a-b', 'c'),
    attachmentFile('n', 'a', 'b-c'),
    attachmentFile('n', 'a', 'b%2Dc'),
  ]
  t.is(new Set(files).size, 3)
  t.is(attachmentFile('net', 'c1', 'eth0'), 'net/c1-eth0.json')
})

const link: LinkRecord = {
  mode: 'bridge',
  netns: { path: '/run/netns/c', device: 4, inode: 4026531840 },
  bridge: 'cni0',
  hostVeth: 'veth00000000',
  hostMac: '02:00:00:00:00:01',
  mac: '02:00:00:00:00:02',
  addresses: ['10.0.0.2/24'],
}
const record: AttachmentRecord = { ...key, link, masquerade: { exempt: ['10.0.0.0/16'] } }
const ports: AttachmentRecord['ports'] = {
  mappings: [
    { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
    { protocol: 'udp', hostPort: 53, containerPort: 53, hostIp: '192.0.2.1' },
  ],
  addresses: ['10.0.0.2'],
  near: ['10.0.0.0/24'],
}

const records: Readonly<Record<string, AttachmentRecord>> = {
  'of a bridge': record,
  'with all parts': {
    ...record,
    ports,
    shaping: { hostLink: 'veth00000000', ifb: 'bwp1' },
    aliases: ['web'],
    ending: true,
  },
  'of a macvlan': {
    ...key,
    link: { ...link, mode: 'macvlan', bridge: '', hostVeth: '', hostMac: '', master: 'eth0' },
  },
  'of ports alone': { ...key, ports },
  'of shaping alone': { ...key, shaping: { hostLink: 'veth1' } },
}
for (const [what, one] of Object.entries(records)) {
  test(`parseAttachment reads the record ${what} as formatAttachment wrote it`, (t) => {
    const text = formatAttachment(one)
    t.deepEqual(parseAttachment(text, 'x'), one)
    t.is(JSON.parse(text).v, 1)
  })
}

test('the record of a bridge is the same to the byte as before there were parts', (t) => {
  const netns = '"netns":{"path":"/run/netns/c","device":4,"inode":4026531840}'
  const macs = '"hostMac":"02:00:00:00:00:01","mac":"02:00:00:00:00:02"'
  t.is(
    formatAttachment(record),
    `{"v":1,"network":"net","containerId":"c1","ifname":"eth0",${netns},"bridge":"cni0","hostVeth":"veth00000000",${macs},"addresses":["10.0.0.2/24"],"masquerade":{"exempt":["10.0.0.0/16"]}}\n`,
  )
})

for (const [title, change] of Object.entries({
  'a port without its number': {
    ports: { ...ports, mappings: [{ protocol: 'tcp', hostPort: 1 }] },
  },
  'an unknown protocol': {
    ports: { ...ports, mappings: [{ protocol: 'icmp', hostPort: 1, containerPort: 1 }] },
  },
  'a mode nobody knows': { mode: 'x' },
  'half a link': { mac: undefined },
  'a namespace that is text': { netns: '/run/netns/c' },
  'aliases that are no list': { aliases: 'web' },
})) {
  test(`parseAttachment refuses ${title}`, (t) => {
    const text = JSON.stringify({ ...JSON.parse(formatAttachment(record)), ...change })
    t.throws(() => parseAttachment(text, 'x'), { name: 'DecodeError' })
  })
}

test('parseAttachment refuses by name what a newer heddle wrote', (t) => {
  const text = JSON.stringify({ v: 2, anything: true })
  t.throws(() => parseAttachment(text, '/run/x.json'), {
    name: 'RecordVersionError',
    message: /^\/run\/x\.json is of version 2/,
  })
})

for (const text of [
  '',
  '[',
  '[]',
  'null',
  '{}',
  '{"v":1}',
  formatAttachment(record).slice(0, 50),
]) {
  test(`parseAttachment refuses ${JSON.stringify(text.slice(0, 20))}`, (t) => {
    t.throws(() => parseAttachment(text, 'x'), { name: 'DecodeError', message: /^x is not / })
  })
}

test('parseAttachment never fails otherwise', (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      try {
        parseAttachment(JSON.stringify(value), 'x')
      } catch (error) {
        return error instanceof Error && /DecodeError|RecordVersionError/.test(error.name)
      }
      return false
    }),
  )
  t.pass()
})
