import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { allocate } from '../../ipam/allocate.ts'
import { DuplicateAllocation } from '../../ipam/errors.ts'
import { release } from '../../ipam/release.ts'
import { Net } from './ipam-net.ts'

const small = { subnet: '10.1.2.0/29' }
const dual = { ranges: [[{ subnet: '10.1.2.0/29' }], [{ subnet: 'fd00:1::/120' }]] }

test('ADD pins each address under its container, DEL takes the pins away', (t) => {
  const net = new Net(t, dual)
  net.add('a')
  t.deepEqual(net.pins(), ['a@10.1.2.2', 'a@fd00%3A1%3A%3A2'])
  t.deepEqual(readdirSync(net.staging), [])
  t.true(net.isIndexed())
  net.del('a')
  t.deepEqual(net.pins(), [])
  t.true(net.isIndexed())
})

test('the pins are believed while only heddle writes', (t) => {
  const net = new Net(t, small)
  net.add('a')
  net.add('b')
  const state = readlinkSync(join(net.sidecar, 'state'))
  // What nobody looks at is not read: without its pin, and with the folder as it was, this is unknown.
  const held = join(net.sidecar, 'held')
  for (const bucket of readdirSync(held)) {
    if (readdirSync(join(held, bucket)).includes('b@10.1.2.3'))
      unlinkSync(join(held, bucket, 'b@10.1.2.3'))
  }
  t.throws(() => net.check('b'))
  net.check('a')
  t.is(readlinkSync(join(net.sidecar, 'state')), state)
})

test('what another program reserves or frees is noticed at once', (t) => {
  const net = new Net(t, small)
  net.add('a')
  net.write('10.1.2.4', 'theirs\r\neth0')
  t.false(net.isIndexed())
  net.check('theirs')
  t.true(net.isIndexed())
  t.deepEqual(net.pins(), ['a@10.1.2.2', 'theirs=10.1.2.4'])
  net.unlink('10.1.2.2')
  t.throws(() => net.check('a'))
  t.deepEqual(net.pins(), ['theirs=10.1.2.4'])
  t.deepEqual(net.addresses('a'), ['10.1.2.3/29'])
  net.del('theirs')
  t.deepEqual(net.files(), { '10.1.2.3': 'a\r\neth0' })
})

test("an address that another program freed and reserved again is that one's", (t) => {
  const net = new Net(t, small)
  net.add('a')
  net.write('10.1.2.2', 'theirs\r\neth0')
  t.throws(() => net.check('a'))
  net.del('a')
  t.deepEqual(net.files(), { '10.1.2.2': 'theirs\r\neth0' })
  t.deepEqual(net.pins(), ['theirs=10.1.2.2'])
})

test('a pin is believed only with the text of the reservation', (t) => {
  const net = new Net(t, small)
  net.add('a')
  // Written over in place, which no time of the folder tells.
  writeFileSync(join(net.folder, '10.1.2.2'), 'theirs\r\neth0')
  t.true(net.isIndexed())
  net.del('a')
  t.deepEqual(net.files(), { '10.1.2.2': 'theirs\r\neth0' })
})

test("a container's interfaces, and files without one, are told apart", (t) => {
  const net = new Net(t, small)
  net.write('10.1.2.2', 'a\r\neth0')
  net.write('10.1.2.3', 'a')
  net.write('10.1.2.4', 'a\r\neth01')
  net.write('10.1.2.5', 'aa\r\neth0')
  t.throws(() => net.add('a'), { instanceOf: DuplicateAllocation })
  net.del('a')
  t.deepEqual(Object.keys(net.files()), ['10.1.2.3', '10.1.2.4', '10.1.2.5'])
  net.del('a')
  t.deepEqual(Object.keys(net.files()), ['10.1.2.4', '10.1.2.5'])
  net.del('a')
  t.deepEqual(Object.keys(net.files()), ['10.1.2.4', '10.1.2.5'])
})

for (const id of ['x'.repeat(300), 'é ü/..%', '..', '.', '@=', 'K8S-pod_1.2']) {
  test(`the pins take the container id ${JSON.stringify(id.slice(0, 12))} of ${id.length} characters`, (t) => {
    const net = new Net(t, small)
    net.write('10.1.2.3', `${id}\r\neth0`)
    net.write('10.1.2.4', id)
    net.check(id)
    t.true(net.isIndexed())
    net.del(id)
    net.del(id)
    t.deepEqual(net.files(), {})
    t.deepEqual(net.pins(), [])
  })
}

test('ids that begin alike and are long are told apart', (t) => {
  const net = new Net(t, { subnet: '10.1.2.0/24' })
  const ids = Array.from({ length: 40 }, (_, i) => `${'f'.repeat(62)}${i + 10}`)
  for (const id of ids) net.add(id)
  for (const id of ids.slice(1)) net.del(id)
  t.deepEqual(Object.values(net.files()), [`${ids[0]}\r\neth0`])
  net.check(ids[0] ?? '')
})

test('a sidecar that was removed is made anew', (t) => {
  const net = new Net(t, small)
  net.add('a')
  rmSync(join(net.dataDir, '.heddle'), { recursive: true })
  net.check('a')
  t.deepEqual(net.pins(), ['a=10.1.2.2'])
  net.del('a')
  t.deepEqual(net.files(), {})
})

for (const [what, state] of [
  ['torn', '1 0000'],
  ['empty of sense', 'x'],
] as const) {
  test(`a state that is ${what} is written anew`, (t) => {
    const net = new Net(t, small)
    net.add('a')
    unlinkSync(join(net.sidecar, 'state'))
    symlinkSync(state, join(net.sidecar, 'state'))
    net.del('a')
    t.deepEqual(net.files(), {})
    t.true(net.isIndexed())
  })
}

test('the index of a newer heddle is left alone, and everything works without it', (t) => {
  const net = new Net(t, small)
  net.add('a')
  const newer = '2 what comes then'
  unlinkSync(join(net.sidecar, 'state'))
  symlinkSync(newer, join(net.sidecar, 'state'))
  const pins = net.pins()
  net.write('10.1.2.5', '')
  t.throws(() => net.add('a'), { instanceOf: DuplicateAllocation })
  t.deepEqual(net.addresses('b'), ['10.1.2.3/29'])
  net.check('b')
  net.del('a')
  t.deepEqual(net.files(), { '10.1.2.3': 'b\r\neth0' })
  t.is(net.collect(), 1)
  t.deepEqual(net.files(), {})
  t.is(readlinkSync(join(net.sidecar, 'state')), newer)
  t.deepEqual(net.pins(), pins)
})

test('where no index can be kept, every reservation is read, and that is said', (t) => {
  const net = new Net(t, small)
  net.write('10.1.2.2', 'theirs\r\neth0')
  mkdirSync(net.sidecar, { recursive: true })
  writeFileSync(join(net.sidecar, 'held'), 'not a folder')
  t.deepEqual(net.addresses('a'), ['10.1.2.3/29'])
  t.true(net.warnings.length > 0)
  net.check('a')
  net.del('a')
  net.del('theirs')
  t.deepEqual(net.files(), {})
})

test('after a restart what heddle reserved is free, and nothing else', (t) => {
  const net = new Net(t, dual)
  net.add('a')
  net.write('10.1.2.3', 'theirs\r\neth0')
  net.add('b')
  net.reboot()
  t.throws(() => net.check('a'))
  t.deepEqual(net.files(), { '10.1.2.3': 'theirs\r\neth0' })
  t.deepEqual(net.infos, [
    'freed the addresses that were reserved before the machine was restarted',
  ])
  t.deepEqual(net.pins(), ['theirs=10.1.2.3'])
  net.add('a')
  net.reboot()
  net.del('none')
  t.deepEqual(net.files(), { '10.1.2.3': 'theirs\r\neth0' })
})

test('after a restart an address is kept that another program gave the same container meanwhile', (t) => {
  const net = new Net(t, small)
  net.add('a')
  net.reboot()
  net.write('10.1.2.2', 'a\r\neth0')
  net.check('a')
  t.deepEqual(net.files(), { '10.1.2.2': 'a\r\neth0' })
  t.deepEqual(net.infos, [])
})

test("no time counts as a restart: neither a file's nor the folder's nor the clock's", (t) => {
  const net = new Net(t, small)
  net.add('a')
  utimesSync(join(net.folder, '10.1.2.2'), 1, 1)
  utimesSync(net.folder, 1, 1)
  net.check('a')
  t.true(net.isIndexed())
})

test('nothing is freed while the kernel does not tell its boot', (t) => {
  const net = new Net(t, small)
  net.add('a')
  renameSync(net.bootIdPath, `${net.bootIdPath}.away`)
  net.check('a')
  t.deepEqual(net.addresses('b'), ['10.1.2.3/29'])
  net.del('b')
  t.throws(() => net.add('a'), { instanceOf: DuplicateAllocation })
  renameSync(`${net.bootIdPath}.away`, net.bootIdPath)
  net.check('a')
  t.true(net.isIndexed())
})

test('a restart that was noticed half is noticed again', (t) => {
  const net = new Net(t, { subnet: '10.1.2.0/24' })
  for (let i = 0; i < 20; i++) net.add(`c${i}`)
  net.reboot()
  for (let i = 2; i < 9; i++) net.unlink(`10.1.2.${i}`)
  net.del('none')
  t.deepEqual(net.files(), {})
})

test('an ADD killed with an address in hand keeps it until its DEL, or until a restart', (t) => {
  const net = new Net(t, small)
  net.killedAdd('a', '10.1.2.2')
  net.killedAdd('b', '10.1.2.3')
  net.check('a')
  t.deepEqual(net.pins(), ['a@10.1.2.2', 'b@10.1.2.3'])
  t.deepEqual(readdirSync(net.staging), [])
  net.del('a')
  t.deepEqual(net.files(), { '10.1.2.3': 'b\r\neth0' })
  net.killedAdd('c', '10.1.2.4')
  net.reboot()
  net.del('none')
  t.deepEqual(net.files(), {})
})

test('an ADD killed between two addresses keeps both until its DEL', (t) => {
  const net = new Net(t, dual)
  net.add('z')
  net.killedAdd('a', '10.1.2.3')
  net.check('a')
  net.killedAdd('a', 'fd00:1::3')
  t.deepEqual(net.pins(), ['a@10.1.2.3', 'z@10.1.2.2', 'z@fd00%3A1%3A%3A2'])
  net.del('a')
  t.deepEqual(net.files(), { '10.1.2.2': 'z\r\neth0', 'fd00:1::2': 'z\r\neth0' })
})

test('an address whose pin alone a killed DEL left is noticed', (t) => {
  const net = new Net(t, dual)
  net.add('a')
  net.unlink('10.1.2.2')
  net.del('a')
  t.deepEqual(net.files(), {})
  t.deepEqual(net.pins(), [])
})

test("what a killed ADD staged goes with its owner's DEL, and is never written to", (t) => {
  const net = new Net(t, small)
  net.add('z')
  net.killedBeforeLock('a')
  net.del('other')
  t.is(readdirSync(net.staging).length, 1)
  net.del('a')
  t.deepEqual(readdirSync(net.staging), [])
  net.killedAdd('b', '10.1.2.4')
  t.throws(() => net.add('b'), { instanceOf: DuplicateAllocation })
  t.is(net.read('10.1.2.4'), 'b\r\neth0')
  t.deepEqual(readdirSync(net.staging), [])
})

test('what an ADD staged that was killed before the folder was there goes too', (t) => {
  for (const end of ['DEL', 'GC']) {
    const net = new Net(t, small)
    net.killedBeforeLock('a')
    rmSync(net.folder, { recursive: true })
    if (end === 'DEL') net.del('a')
    else net.collect('b')
    t.deepEqual(readdirSync(net.staging), [])
    t.false(existsSync(net.folder))
  }
})

test('what a killed ADD staged goes after a minute when the folder is looked through', (t) => {
  const net = new Net(t, small)
  const young = net.killedBeforeLock('young')
  const old = net.killedBeforeLock('old')
  utimesSync(old, 1, 1)
  net.write('10.1.2.6', 'theirs\r\neth0')
  net.del('none')
  t.true(existsSync(young))
  t.false(existsSync(old))
})

test('an ADD whose staged file is taken away while it waits for the lock still succeeds', (t) => {
  const net = new Net(t, small)
  net.whenLocked = () => rmSync(net.staging, { recursive: true })
  t.deepEqual(net.addresses('a'), ['10.1.2.2/29'])
  t.deepEqual(net.files(), { '10.1.2.2': 'a\r\neth0' })
})

test('a folder without names of addresses, and files nobody can read, are left alone', (t) => {
  const net = new Net(t, small)
  net.write('README', '')
  net.write('notes', 'a\r\neth0')
  mkdirSync(join(net.folder, '10.1.2.2'))
  t.deepEqual(net.addresses('b'), ['10.1.2.3/29'])
  t.true(net.isIndexed())
  t.is(net.collect(), 1)
  t.deepEqual(readdirSync(net.folder).toSorted(), [
    '10.1.2.2',
    'README',
    'last_reserved_ip.0',
    'lock',
    'notes',
  ])
  // As upstream does, which looks at text alone.
  net.del('a')
  t.false(existsSync(join(net.folder, 'notes')))
})

test('a freed address rests for a minute while there are others', (t) => {
  const net = new Net(t, small)
  for (const id of ['a', 'b', 'c', 'd']) net.add(id)
  net.del('c')
  t.deepEqual(net.addresses('e'), ['10.1.2.6/29'])
  net.del('a')
  // Round to the front: 10.1.2.2 and 10.1.2.4 rest, and there is nothing else.
  t.deepEqual(net.addresses('f'), ['10.1.2.2/29'])
})

test('of the addresses freed just now the next search takes another', (t) => {
  const net = new Net(t, { subnet: '10.1.2.0/28' })
  net.add('a')
  net.add('b')
  net.del('b')
  net.write('last_reserved_ip.0', '10.1.2.2')
  t.deepEqual(net.addresses('c'), ['10.1.2.4/28'])
  t.deepEqual(net.addresses('d', '10.1.2.3'), ['10.1.2.3/28'], 'on request at once')
})

for (const [when, seconds] of [
  ['more than a minute ago', -61],
  ['in the time to come', 5],
] as const) {
  test(`an address freed ${when} does not rest`, (t) => {
    const net = new Net(t, small)
    net.add('a')
    net.del('a')
    const file = join(net.sidecar, 'freed')
    t.regex(readFileSync(file, 'utf8'), /^10\.1\.2\.2 \d+\n$/)
    writeFileSync(file, `10.1.2.2 ${Math.floor(Date.now() / 1000) + seconds}\n`)
    net.write('last_reserved_ip.0', '10.1.2.6')
    t.deepEqual(net.addresses('b'), ['10.1.2.2/29'])
  })
}

test('the list of freed addresses does not grow for ever', (t) => {
  const net = new Net(t, { subnet: '10.1.0.0/16' })
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < 100; j++) net.write(`10.1.${i}.${j + 10}`, `c${i}`)
    net.del(`c${i}`)
  }
  const text = readFileSync(join(net.sidecar, 'freed'), 'utf8')
  t.true(text.length < 30_000, `${text.length}`)
  t.true(text.split('\n').length > 256)
  t.true(text.endsWith('\n'))
  t.regex(text, /^(10\.1\.\d+\.\d+ \d+\n)+$/)
})

test('an allocation far behind a long run of taken addresses is found', (t) => {
  const net = new Net(t, { subnet: '10.1.0.0/22' })
  for (let i = 0; i < 900; i++) net.write(`10.1.${i >> 8}.${i & 255}`, `c${i}\r\neth0`)
  t.deepEqual(net.addresses('a'), ['10.1.3.132/22'])
  t.deepEqual(net.addresses('b'), ['10.1.3.133/22'])
})

test('two networks of one data folder do not touch each other', (t) => {
  const net = new Net(t, small)
  net.add('a')
  const other = { ...net.plan(), network: 'other' }
  const owner = { containerId: 'a', ifname: 'eth0' }
  t.is(allocate(other, owner, net.deps).ips[0]?.address, '10.1.2.2/29')
  release(other, owner, net.deps)
  net.check('a')
  t.deepEqual(readdirSync(join(net.dataDir, '.heddle')).toSorted(), ['net', 'other'])
})

test('a sidecar that cannot be written to keeps nobody from freeing', (t) => {
  if (process.getuid?.() === 0) return void t.pass('root may write anywhere')
  const net = new Net(t, small)
  net.add('a')
  chmodSync(net.sidecar, 0o500)
  net.del('a')
  t.deepEqual(net.files(), {})
})
