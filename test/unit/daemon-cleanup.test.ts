import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { reporter } from '../../daemon/cleanup/report.ts'
import { removeReservations } from '../../daemon/cleanup/reservations.ts'
import { parseFlags } from '../../daemon/flags.ts'
import { readFlags, writeFlags } from '../../daemon/flags-file.ts'
import { settingsOf } from '../../daemon/settings.ts'
import { type Prefix, parsePrefix } from '../../ip/prefix.ts'

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

/** Makes files with their texts, and cleans up the reservations among them; what is there afterwards. */
function cleaned(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  running: readonly string[] = [],
): string[] {
  const at = join(folder(t), 'networks')
  for (const [name, text] of Object.entries(files)) {
    const isFolder = name.endsWith('/')
    mkdirSync(isFolder ? join(at, name) : dirname(join(at, name)), { recursive: true })
    if (!isFolder) writeFileSync(join(at, name), text)
  }
  const locked: string[] = []
  const lockFile = (path: string): Disposable => {
    locked.push(path)
    return { [Symbol.dispose]: () => void locked.pop() }
  }
  removeReservations({
    networks: prefixes('10.244.0.0/16', 'fd00:244::/48'),
    running: new Set(running),
    lockFile,
    report: reporter(() => t.true(locked.length <= 1)),
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
    '.heddle/heddle/held/1/KEY@10.244.5.2': '',
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
  t.deepEqual(cleaned(t, files, ['there eth0']), [...kept, 'heddle/lock'])
})

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
  const mixed = cleaned(t, {
    'a/10.244.5.2': 'x\r\neth0',
    'a/10.88.0.2': 'x\r\neth0',
    'a/lock': '',
  })
  t.deepEqual(mixed, ['a', 'a/10.88.0.2', 'a/lock'])
})

for (const [where, files] of [
  ['the addresses', { 'heddle/last_reserved_ip.0': '10.244.5.2', 'heddle/lock': '' }],
  ['the lock', { 'heddle/last_reserved_ip.0': '10.244.5.2' }],
  ['the last file', { 'heddle/': '' }],
  ['the folder', { '.heddle/heddle/state': '' }],
] as const satisfies [string, Record<string, string>][]) {
  test(`removeReservations() goes on where it was killed after ${where}`, (t) => {
    t.deepEqual(cleaned(t, files), [])
  })
}
