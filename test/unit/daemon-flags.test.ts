import test from 'ava'
import { environmentName, flagSpecs, parseFlags } from '../../daemon/settings/flags.ts'
import { helpText } from '../../daemon/settings/help.ts'
import { type Settings, settingsOf } from '../../daemon/settings/settings.ts'

function settings(argv: string, env: Record<string, string> = {}, program = 'heddled'): Settings {
  return settingsOf(parseFlags(argv.split(' ').filter(Boolean), env), program)
}

test('parseFlags() takes one dash or two, a value after = or as the next word', (t) => {
  for (const argv of ['--iface eth1', '--iface=eth1', '-iface eth1', '-iface=eth1']) {
    t.deepEqual(settings(argv).uplink.ifaces, ['eth1'], argv)
  }
})

test('parseFlags() takes a flag of yes and no without a value, as Go does', (t) => {
  t.true(settings('--ip-masq').ipMasq)
  t.true(settings('-ip-masq=true').ipMasq)
  t.false(settings('--ip-masq=0').ipMasq)
  t.throws(() => settings('--ip-masq true'), { message: /unexpected argument "true"/ })
  t.throws(() => settings('--ip-masq=maybe'), { message: /--ip-masq is true or false/ })
})

test('parseFlags() reads the environment where the command line says nothing', (t) => {
  const env = { FLANNELD_IP_MASQ: 'true', FLANNELD_IFACE: 'eth7', FLANNELD_ETCD_PREFIX: '/x/' }
  t.like(settings('', env), { ipMasq: true, storePrefix: '/x' })
  t.deepEqual(settings('--iface eth0', env).uplink.ifaces, ['eth0'])
  t.is(environmentName('subnet-lease-renew-margin'), 'FLANNELD_SUBNET_LEASE_RENEW_MARGIN')
})

test('parseFlags() repeats --iface and --iface-regex', (t) => {
  const { uplink } = settings('--iface eth0 --iface 10.0.0.1 --iface-regex ^en --iface-regex 10\\.')
  t.deepEqual(uplink.ifaces, ['eth0', '10.0.0.1'])
  t.deepEqual(uplink.regexes, [/^en/, /10\./])
})

const refused: [argv: string, message: RegExp][] = [
  ['--nonsense', /unknown flag --nonsense/],
  ['eth0', /unexpected argument "eth0"/],
  ['--iface', /--iface needs a value/],
  ['--kube-subnet-mgr', /--kube-subnet-mgr is flannel’s and not heddled’s: .*--store etcd/],
  ['--kube-api-url http://x', /--kube-api-url is flannel’s/],
  ['--ip-blackhole-route', /--ip-blackhole-route is flannel’s/],
  ['--subnet-lease-renew-margin 0', /whole number from 1 to 1439, not "0"/],
  ['--subnet-lease-renew-margin 1440', /whole number from 1 to 1439/],
  ['--healthz-port http', /--healthz-port is a whole number/],
  ['--public-ip ::1', /--public-ip: "::1" is not an IPv4 address/],
  ['--public-ipv6 10.0.0.1', /is not an IPv6 address/],
  ['--iface-regex (', /--iface-regex: /],
  ['--instance ../x', /--instance "\.\.\/x"/],
  ['--store consul --etcd-prefix x', /--etcd-prefix "x" starts with no slash/],
  ['--store consul --consul-endpoints 10.0.0.1', /"10\.0\.0\.1" is not like http:/],
  ['--store zookeeper --zookeeper-endpoints http://a', /is not like 10\.0\.0\.1:2181/],
  ['--store zookeeper --zookeeper-username a', /-username and --zookeeper-password go together/],
  ['--consul-token x', /--consul-token is for --store consul, and the store is sqlite/],
  ['--store mysql', /"mysql" is none/],
  ['--etcd-endpoints 10.0.0.1:2379', /"10\.0\.0\.1:2379" is not like/],
  ['--store etcd --etcd-certfile c', /go together/],
  ['--log-format xml', /text or json/],
]
for (const [argv, message] of refused) {
  test(`settingsOf() refuses "${argv}"`, (t) => {
    t.throws(() => settings(argv), { name: 'UsageError', message })
  })
}

test('parseFlags() lets a flag of flannel’s that is off pass', (t) => {
  t.notThrows(() => settings('--kube-subnet-mgr=false --ip-blackhole-route=false'))
})

const sqlite = { kind: 'sqlite', path: '/var/lib/heddle/store.db' } as const
const usual = ['http://127.0.0.1:4001', 'http://127.0.0.1:2379']
const stores: [argv: string, env: Record<string, string>, program: string, store: object][] = [
  ['', {}, 'heddled', sqlite],
  ['--store sqlite', {}, 'flanneld', sqlite],
  ['--store sqlite:/tmp/x.db', {}, 'heddled', { kind: 'sqlite', path: '/tmp/x.db' }],
  ['', {}, 'flanneld', { kind: 'etcd', options: { endpoints: usual } }],
  ['--store etcd', {}, 'heddled', { kind: 'etcd', options: { endpoints: usual } }],
  ['--etcd-prefix /x', {}, 'heddled', { kind: 'etcd', options: { endpoints: usual } }],
  [
    '',
    { FLANNELD_ETCD_ENDPOINTS: 'https://a:2379, https://b:2379' },
    'heddled',
    { kind: 'etcd', options: { endpoints: ['https://a:2379', 'https://b:2379'] } },
  ],
  [
    '--etcd-cafile ca --etcd-username u --etcd-password p',
    {},
    'heddled',
    {
      kind: 'etcd',
      options: { endpoints: usual, tls: { caFile: 'ca' }, username: 'u', password: 'p' },
    },
  ],
  ['--store sqlite --etcd-prefix /x', {}, 'heddled', sqlite],
  [
    '--store consul --etcd-prefix /x/ --consul-endpoints https://a:8501 --consul-cafile ca',
    { FLANNELD_CONSUL_TOKEN: 'secret' },
    'heddled',
    {
      kind: 'consul',
      options: { endpoints: ['https://a:8501'], tls: { caFile: 'ca' }, token: 'secret' },
      root: '/x',
    },
  ],
  [
    '--store zookeeper --zookeeper-endpoints a,[fd00::1]:2182 --zookeeper-username u',
    { FLANNELD_ZOOKEEPER_PASSWORD: 'p' },
    'heddled',
    {
      kind: 'zookeeper',
      options: { endpoints: ['a', '[fd00::1]:2182'], login: { username: 'u', password: 'p' } },
      root: '/coreos.com/network',
    },
  ],
]
for (const [argv, env, program, store] of stores) {
  test(`settingsOf() chooses the store for ${program} ${argv} ${JSON.stringify(env)}`, (t) => {
    t.deepEqual<object, object>(settings(argv, env, program).store, store)
  })
}

test('settingsOf() gives each instance places of its own', (t) => {
  t.like(settings(''), {
    instance: 'default',
    subnetFile: '/run/flannel/subnet.env',
    stateDir: '/var/lib/heddle/default',
    storePrefix: '/coreos.com/network',
    ttlSeconds: 86_400,
    renewMarginSeconds: 3600,
    healthz: undefined,
  })
  t.like(settings('--instance blue'), {
    subnetFile: '/run/flannel/blue.env',
    stateDir: '/var/lib/heddle/blue',
  })
  t.deepEqual(settings('--healthz-port 8081').healthz, { host: '127.0.0.1', port: 8081 })
})

test('helpText() names every flag within 100 columns', (t) => {
  const text = helpText()
  for (const name of Object.keys(flagSpecs)) t.regex(text, new RegExp(`^  --${name}\\b`, 'm'))
  t.deepEqual(
    text.split('\n').filter((line) => line.length > 100),
    [],
  )
})
