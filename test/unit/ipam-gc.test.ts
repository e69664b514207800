import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { parseNetConf } from '../../conf/net-conf.ts'
import { allocate } from '../../ipam/allocate.ts'
import { collect } from '../../ipam/gc.ts'
import { ipamStatus } from '../../ipam/status.ts'
import { Net } from './ipam-net.ts'

const subnet = { subnet: '10.1.2.0/24' }

test('collect() frees what is not listed, by container and interface', (t) => {
  const net = new Net(t, subnet)
  for (const id of ['a', 'b', 'c']) net.add(id)
  allocate(net.plan(), { containerId: 'a', ifname: 'eth1' }, net.deps)
  net.write('10.1.2.9', 'theirs\r\neth0')
  t.is(net.collect('a', 'c', 'unknown'), 3)
  t.deepEqual(net.files(), { '10.1.2.2': 'a\r\neth0', '10.1.2.4': 'c\r\neth0' })
  t.deepEqual(net.pins(), ['a@10.1.2.2', 'c@10.1.2.4'])
  t.true(net.isIndexed())
  t.is(net.collect('a', 'c'), 0)
})

test('collect() frees everything when nothing is listed, but no cursor and no lock', (t) => {
  const net = new Net(t, subnet)
  net.add('a')
  net.write('10.1.2.7', '')
  t.is(net.collect(), 1)
  t.deepEqual(readdirSync(net.folder).toSorted(), ['last_reserved_ip.0', 'lock'])
})

test('collect() keeps a file without an interface while its container has any', (t) => {
  const net = new Net(t, subnet)
  net.write('10.1.2.2', 'a')
  net.write('10.1.2.3', 'b')
  net.write('10.1.2.4', ' a \n')
  const keep = [{ containerId: 'a', ifname: 'net7' }]
  t.is(collect(net.plan(), keep, net.deps), 1)
  t.deepEqual(Object.keys(net.files()), ['10.1.2.2', '10.1.2.4'])
})

test('collect() keeps a listed container in whatever form another tool wrote it', (t) => {
  const net = new Net(t, subnet)
  net.write('10.1.2.2', 'a\neth0')
  net.write('10.1.2.3', 'b\neth0')
  t.is(net.collect('a'), 1)
  t.deepEqual(Object.keys(net.files()), ['10.1.2.2'])
})

test('collect() removes what killed ADDs staged, but not that of a listed one', (t) => {
  const net = new Net(t, subnet)
  net.add('z')
  net.killedBeforeLock('a')
  net.killedBeforeLock('b')
  net.killedAdd('c', '10.1.2.9')
  t.is(net.collect('z', 'a'), 1)
  t.deepEqual(
    readdirSync(net.staging).map((name) => name.split(',')[0]),
    ['a%0D%0Aeth0'],
  )
  t.deepEqual(Object.keys(net.files()), ['10.1.2.2'])
})

test('collect() in a network without a folder makes none', (t) => {
  const net = new Net(t, subnet)
  t.is(net.collect(), 0)
  t.false(existsSync(net.dataDir))
})

test('collect() leaves other networks alone', (t) => {
  const net = new Net(t, subnet)
  net.add('a')
  const other = { ...net.plan(), network: 'other' }
  allocate(other, { containerId: 'b', ifname: 'eth0' }, net.deps)
  t.is(net.collect(), 1)
  t.true(existsSync(join(net.dataDir, 'other/10.1.2.2')))
})

function status(net: Net, change: object = {}): void {
  const ipam = { ...subnet, dataDir: net.dataDir, ...change }
  ipamStatus(parseNetConf(JSON.stringify({ cniVersion: '1.1.0', name: 'net', ipam })), net.deps)
}

test('ipamStatus() is content with a sound configuration, with and without a folder', (t) => {
  const net = new Net(t, subnet)
  t.notThrows(() => status(net))
  t.false(existsSync(net.dataDir))
  net.add('a')
  t.notThrows(() => status(net))
})

test('ipamStatus() does not mind a full pool', (t) => {
  const net = new Net(t, { subnet: '10.1.2.0/30' })
  net.add('a')
  t.throws(() => net.add('b'))
  t.notThrows(() => status(net, { subnet: '10.1.2.0/30' }))
})

test('ipamStatus() refuses what ADD would refuse', (t) => {
  t.throws(() => status(new Net(t, subnet), { subnet: '10.1.2.0/31' }), { name: 'ConfigError' })
})

test('ipamStatus() answers code 50 when the folder is none or cannot be locked', (t) => {
  const net = new Net(t, subnet)
  const lock = () => {
    throw new Error('lock X is held')
  }
  const conf = parseNetConf(
    JSON.stringify({ name: 'net', ipam: { ...subnet, dataDir: net.dataDir } }),
  )
  const error = t.throws(() => ipamStatus(conf, { ...net.deps, lock }))
  t.like(error, { code: 50, message: 'cannot reserve addresses: lock X is held' })
  writeFileSync(net.dataDir, 'a file')
  t.like(
    t.throws(() => status(net)),
    { code: 50 },
  )
})
