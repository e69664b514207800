import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { removeRules } from '../../daemon/cleanup/kernel.ts'
import { reporter } from '../../daemon/cleanup/report.ts'
import { removeReservations } from '../../daemon/cleanup/reservations.ts'
import { removeState } from '../../daemon/cleanup/state.ts'
import { deviceLock } from '../../daemon/host/locks.ts'
import { parseFlags } from '../../daemon/settings/flags.ts'
import { readFlags, writeFlags } from '../../daemon/settings/flags-file.ts'
import { settingsOf } from '../../daemon/settings/settings.ts'
import { formatAddress } from '../../ip/address.ts'
import { localMac } from '../../ip/mac.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'
import { Connection } from '../../netlink/connection.ts'
import { addressIs, counter, verdict } from '../../netlink/nftables/match.ts'
import { FakeNftables } from './fake-nftables.ts'

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-cleanup-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

test('Settings.kept brings back the store and the subnet file, and no secret', (t) => {
  const argv = [
    ...['--etcd-endpoints', 'https://a:2379,https://b:2379', '--etcd-cafile=/etc/ca.pem'],
    ...['--etcd-username', 'root', '--etcd-password', 'hush', '--ip-masq', '--iface', 'eth1'],
    ...['--instance', 'blue', '--iface', 'eth2'],
  ]
  const settings = settingsOf(parseFlags(argv, { FLANNELD_ETCD_PREFIX: '/blue' }), 'heddled')
  t.deepEqual(settings.kept, {
    FLANNELD_ETCD_ENDPOINTS: 'https://a:2379,https://b:2379',
    FLANNELD_ETCD_CAFILE: '/etc/ca.pem',
    FLANNELD_ETCD_USERNAME: 'root',
    FLANNELD_ETCD_PREFIX: '/blue',
    FLANNELD_IP_MASQ: 'true',
    FLANNELD_INSTANCE: 'blue',
    FLANNELD_STORE: 'etcd',
    FLANNELD_SUBNET_FILE: '/run/flannel/blue.env',
  })
  const again = settingsOf(parseFlags(['--instance', 'blue'], settings.kept), 'heddled')
  const { store, ...rest } = settings
  t.like(again, { storePrefix: '/blue', subnetFile: rest.subnetFile, ipMasq: true })
  t.is(again.store.kind, store.kind)
})

test('Settings.kept has the store that followed from the program’s name', (t) => {
  const { kept } = settingsOf(parseFlags([], {}), 'flanneld')
  t.is(kept['FLANNELD_STORE'], 'etcd')
  t.is(settingsOf(parseFlags([], kept), 'heddled').store.kind, 'etcd')
  const file = settingsOf(parseFlags(['--store', 'sqlite:/x.db'], {}), 'flanneld').kept
  t.is(file['FLANNELD_STORE'], 'sqlite:/x.db')
})

test('readFlags() inverts writeFlags(); no file, no flags', (t) => {
  const state = folder(t)
  t.deepEqual(readFlags(state), {})
  writeFlags(state, { FLANNELD_STORE: 'etcd' })
  t.deepEqual(readFlags(state), { FLANNELD_STORE: 'etcd' })
  writeFileSync(join(state, 'flags.json'), '{"v":2}')
  t.throws(() => readFlags(state), { name: 'StateError', message: /version 2/ })
})

function prefixes(...texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? [])
}

interface Scene {
  readonly running?: readonly string[]
  /** Whose record is there and nothing else. */
  readonly gone?: readonly string[]
  /** What containers without a record seem to have. */
  readonly used?: readonly string[]
  readonly said?: string[]
}

/**
 * Makes files with their texts, and cleans up the reservations among them; what is there afterwards.
 * Notes on addresses are hard links, as heddle-ipam makes them.
 */
function cleaned(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  { running = [], gone = [], used = [], said = [] }: Scene = {},
): string[] {
  const at = join(folder(t), 'networks')
  for (const [name, text] of Object.entries(files)) {
    const isFolder = name.endsWith('/')
    mkdirSync(isFolder ? join(at, name) : dirname(join(at, name)), { recursive: true })
    const reservation = /^\.heddle\/(\w+)\/held\/.*@(.*)$/.exec(name)
    if (reservation) {
      const [, network = '', address = ''] = reservation
      linkSync(join(at, network, decodeURIComponent(address)), join(at, name))
    } else if (!isFolder) writeFileSync(join(at, name), text)
  }
  const locked: string[] = []
  const lockFile = (path: string): Disposable => {
    locked.push(path)
    return { [Symbol.dispose]: () => void locked.pop() }
  }
  removeReservations({
    networks: prefixes('10.244.0.0/16', 'fd00:244::/48'),
    running: new Set(running),
    gone: new Set(gone),
    isUsed: (address) => used.includes(formatAddress(address)),
    lockFile,
    report: reporter((line) => {
      t.true(locked.length <= 1)
      said.push(line)
    }),
    folder: at,
  })
  t.deepEqual(locked, [])
  if (!existsSync(at)) return []
  return readdirSync(at, { recursive: true }).map(String).toSorted()
}

test('removeReservations() empties the networks’ folder, then removes it and the notes', (t) => {
  const files = {
    'heddle/10.244.5.2': 'gone\r\neth0',
    'heddle/fd00:244:0:5::2': 'gone\r\neth0',
    'heddle/last_reserved_ip.0': '10.244.5.2',
    'heddle/lock': '',
    '.heddle/heddle/held/1/gone@10.244.5.2': '',
    '.heddle/heddle/held/1/gone@fd00%3A244%3A0%3A5%3A%3A2': '',
    '.heddle/heddle/state': '',
  }
  t.deepEqual(cleaned(t, files), [])
})

test('removeReservations() keeps what a running container has', (t) => {
  const files = {
    'heddle/10.244.5.2': 'gone\r\neth0',
    'heddle/10.244.5.3': 'there\r\neth0',
    'heddle/lock': '',
    '.heddle/heddle/state': '',
  }
  const kept = ['.heddle', '.heddle/heddle', '.heddle/heddle/state', 'heddle', 'heddle/10.244.5.3']
  const scene = { running: ['there eth0'], gone: ['gone eth0'] }
  t.deepEqual(cleaned(t, files, scene), [...kept, 'heddle/lock'])
})

test('removeReservations() keeps what containers of other plugins may have, and says so', (t) => {
  const files = {
    // Upstream's host-local gave it: no note, no record.
    'cbr0/10.244.5.7': 'pod\r\neth0',
    'cbr0/last_reserved_ip.0': '10.244.5.7',
    'cbr0/lock': '',
    // heddle-ipam gave these, one to a container on upstream's bridge.
    'mixed/10.244.5.8': 'pod\r\neth0',
    'mixed/10.244.5.9': 'gone\r\neth0',
    'mixed/lock': '',
    '.heddle/mixed/held/1/pod@10.244.5.8': '',
    '.heddle/mixed/held/2/gone@10.244.5.9': '',
    // Its note is on a reservation that went; another IPAM has given the address since.
    'later/10.244.5.10': 'pod\r\neth0',
    'later/lock': '',
    '.heddle/later/held/1/pod=10.244.5.10': '',
  }
  const said: string[] = []
  const left = cleaned(t, files, { used: ['10.244.5.8'], said })
  for (const path of ['cbr0/10.244.5.7', 'mixed/10.244.5.8', 'later/10.244.5.10', 'cbr0/lock']) {
    t.true(left.includes(path), path)
  }
  t.false(left.includes('mixed/10.244.5.9'))
  for (const address of ['10.244.5.7', '10.244.5.8', '10.244.5.10']) {
    const why = 'their containers may be running: detach them, or remove the files'
    t.true(
      said.some((line) => line.endsWith(`/${address}: ${why}`)),
      said.join('\n'),
    )
  }
})

test('removeReservations() leaves strangers’ files and empty folders in peace', (t) => {
  t.deepEqual(cleaned(t, { notes: 'mine', 'empty/': '' }), ['empty', 'notes'])
})

test('removeState() takes no lock file that another daemon holds', (t) => {
  const stateDir = join(folder(t), 'default')
  const device = `fixed${process.pid}.9`
  const { path } = deviceLock(device)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, '')
  t.teardown(() => rmSync(path, { force: true }))
  let isHeld = true
  const lockFile = (): Disposable => {
    if (isHeld) throw Object.assign(new Error('held'), { name: 'LockTimeout' })
    return { [Symbol.dispose]() {} }
  }
  const settings = { ...settingsOf(parseFlags(['--store', 'etcd'], {}), 'heddled'), stateDir }
  const devices = new Map([[device, localMac(new Uint8Array(6))]])
  const tools = { isStoreIdle: false, lockFile, report: reporter(() => {}) }
  mkdirSync(stateDir)
  removeState(settings, { devices }, tools)
  t.true(existsSync(path))
  isHeld = false
  removeState(settings, { devices }, tools)
  t.false(existsSync(path))
})

for (const forward of [true, false]) {
  test(`removeRules() with --iptables-forward-rules=${forward} ${forward ? 'takes' : 'leaves'} accepts without a mark`, (t) => {
    const networks = prefixes('10.244.0.0/16')
    const rules = networks.map((prefix) => ({
      expressions: [...addressIs('source', prefix), counter(), verdict('accept')],
    }))
    const chains = [{ name: 'FORWARD', rules }]
    const kernel = new FakeNftables({ family: 'ip', name: 'filter', sets: [], chains })
    const flag = `--iptables-forward-rules=${forward}`
    const settings = settingsOf(parseFlags([flag], {}), 'heddled')
    removeRules(
      new Connection(kernel),
      settings,
      { networks },
      reporter(() => {}),
    )
    t.deepEqual(
      kernel.transactions.filter(([name]) => name !== 'deleteTable'),
      forward ? [['deleteRule']] : [],
    )
  })
}

test('removeReservations() leaves other networks alone, in one folder with ours too', (t) => {
  const others = {
    'single/10.88.0.2': 'x\r\neth0',
    'single/last_reserved_ip.0': '10.88.0.2',
    'single/lock': '',
    '.heddle/single/state': '',
    'idle/last_reserved_ip.0': '10.88.0.2',
    'idle/lock': '',
  }
  const before = cleaned(t, others)
  t.true(before.includes('single/10.88.0.2') && before.includes('idle/lock'))
  t.true(before.includes('.heddle/single/state'))
  const mixed = cleaned(
    t,
    {
      'a/10.244.5.2': 'gone\r\neth0',
      'a/10.88.0.2': 'x\r\neth0',
      'a/lock': '',
    },
    { gone: ['gone eth0'] },
  )
  t.deepEqual(mixed, ['a', 'a/10.88.0.2', 'a/lock'])
})

for (const [where, files] of [
  ['the addresses', { 'heddle/last_reserved_ip.0': '10.244.5.2', 'heddle/lock': '' }],
  ['the lock', { 'heddle/last_reserved_ip.0': '10.244.5.2' }],
  ['the last file', { 'heddle/': '', '.heddle/heddle/': '' }],
  ['the folder', { '.heddle/heddle/': '' }],
] as const satisfies [string, Record<string, string>][]) {
  test(`removeReservations() goes on where it was killed after ${where}`, (t) => {
    t.deepEqual(cleaned(t, files), [])
  })
}
