import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parseLeaseKey } from '../../conf/lease.ts'
import { parseNetworkConfig } from '../../conf/network-config.ts'
import { formatSubnetEnv } from '../../conf/subnet-env.ts'
import { formatDockerOptions } from '../../daemon/host/docker-options.ts'
import { writeAtomically } from '../../daemon/host/files.ts'
import { HostFiles } from '../../daemon/host/host-files.ts'
import { type Claimable, claim, stateDirLock, subnetFileLock } from '../../daemon/host/locks.ts'
import { StatusFile, subnetEnvFor } from '../../daemon/host/subnet-file.ts'
import { sysctlName } from '../../daemon/host/sysctl.ts'
import type { ByFamily } from '../../ip/by-family.ts'
import type { Prefix } from '../../ip/prefix.ts'
import { silent } from '../../log/logger.ts'

const script = join(import.meta.dirname, '../../scripts/mk-docker-opts.sh')

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'heddle-files-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

const config = parseNetworkConfig(
  '{"Network":"10.42.0.0/16","EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}',
)
const dual: ByFamily<Prefix> = parseLeaseKey('10.42.7.0-24&2001:cafe:42:7::-64') ?? {}

test('HostFiles.sync() writes flannel’s bytes for both families, and docker’s options beside them', (t) => {
  const run = join(folder(t), 'run/flannel')
  const subnetFile = join(run, 'subnet.env')
  const files = new HostFiles({ subnetFile, log: silent })
  files.sync(subnetEnvFor(config, dual, { mtu: 1430, ipMasq: true }))
  t.is(files.problem, undefined)
  t.is(
    readFileSync(subnetFile, 'utf8'),
    'FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.7.1/24\nFLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42:7::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n',
  )
  t.is(statSync(subnetFile).mode & 0o777, 0o644)
  t.is(
    readFileSync(join(run, 'docker'), 'utf8'),
    `DOCKER_OPT_BIP="--bip=10.42.7.1/24"
DOCKER_OPT_FIXED_CIDR_V6="--fixed-cidr-v6=2001:cafe:42:7::/64"
DOCKER_OPT_IPMASQ="--ip-masq=false"
DOCKER_OPT_IPV6="--ipv6=true"
DOCKER_OPT_MTU="--mtu=1430"
DOCKER_OPTS=" --bip=10.42.7.1/24 --fixed-cidr-v6=2001:cafe:42:7::/64 --ip-masq=false --ipv6=true --mtu=1430"
DOCKER_NETWORK_OPTIONS=" --bip=10.42.7.1/24 --fixed-cidr-v6=2001:cafe:42:7::/64 --ip-masq=false --ipv6=true --mtu=1430"
`,
  )
  t.deepEqual(readdirSync(run).toSorted(), ['docker', 'subnet.env'])
})

test('HostFiles.sync() writes only what differs, and what was changed or cut', (t) => {
  const run = folder(t)
  const subnetFile = join(run, 'subnet.env')
  const files = new HostFiles({ subnetFile, log: silent })
  const env = (mtu: number) => subnetEnvFor(config, dual, { mtu, ipMasq: false })
  files.sync(env(1450))
  const { ino } = statSync(subnetFile)
  files.sync(env(1450))
  t.is(statSync(subnetFile).ino, ino)
  files.sync(env(1400))
  t.is(readFileSync(subnetFile, 'utf8'), formatSubnetEnv(env(1400)))
  t.is(readFileSync(join(run, 'docker'), 'utf8'), formatDockerOptions(env(1400)))
  writeFileSync(subnetFile, 'FLANNEL_NETW')
  rmSync(join(run, 'docker'))
  files.sync(env(1400))
  t.is(readFileSync(subnetFile, 'utf8'), formatSubnetEnv(env(1400)))
  t.true(existsSync(join(run, 'docker')))
})

test('HostFiles of another name leave docker alone', (t) => {
  const run = folder(t)
  const files = new HostFiles({ subnetFile: join(run, 'blue.env'), log: silent })
  files.sync(subnetEnvFor(config, dual, { mtu: 1450, ipMasq: false }))
  t.deepEqual(readdirSync(run), ['blue.env'])
})

test('HostFiles and StatusFile that cannot write say so and write later', (t) => {
  const run = join(folder(t), 'run')
  // A file where the folder should be stops root too.
  writeFileSync(run, '')
  const subnetFile = join(run, 'subnet.env')
  const files = new HostFiles({ subnetFile, log: silent })
  const status = new StatusFile(subnetFile, silent)
  const env = subnetEnvFor(config, dual, { mtu: 1450, ipMasq: false })
  files.sync(env)
  status.write({ ready: true })
  t.regex(files.problem ?? '', /^cannot read .*subnet\.env: ENOTDIR/)
  rmSync(run)
  files.sync(env)
  status.write({ ready: true })
  t.is(files.problem, undefined)
  t.deepEqual(readdirSync(run).toSorted(), ['docker', 'subnet.env', 'subnet.env.status.json'])
})

test('StatusFile brings back what somebody removed or changed', (t) => {
  const run = folder(t)
  const status = new StatusFile(join(run, 'subnet.env'), silent)
  const path = join(run, 'subnet.env.status.json')
  status.write({ ready: true })
  const { ino } = statSync(path)
  status.write({ ready: true })
  t.is(statSync(path).ino, ino, 'what is as it should be is left alone')
  const text = readFileSync(path, 'utf8')
  rmSync(path)
  status.write({ ready: true })
  t.is(readFileSync(path, 'utf8'), text)
  writeFileSync(path, '{}')
  status.write({ ready: true })
  t.is(readFileSync(path, 'utf8'), text)
})

test('writeAtomically() and claim() write through no symbolic link', (t) => {
  const at = folder(t)
  const victim = join(at, 'victim')
  writeFileSync(victim, 'kept')
  const path = join(at, 'file')
  symlinkSync(victim, `${path}.new`)
  writeAtomically(path, 'new', 0o644)
  t.is(readFileSync(path, 'utf8'), 'new')
  const lock = join(at, 'lock')
  symlinkSync(victim, lock)
  const lockFile = () => ({ [Symbol.dispose]() {} })
  t.throws(() => claim({ what: 'this', path: lock }, lockFile, 'default'), {
    name: 'StateError',
    message: /^cannot lock this: .*lock is a symbolic link: remove it$/,
  })
  t.is(readFileSync(victim, 'utf8'), 'kept')
})

test('claim() makes the state folder for root alone, and folders in /run for all', (t) => {
  const at = folder(t)
  const lockFile = () => ({ [Symbol.dispose]() {} })
  const made = (lock: Claimable) => {
    claim(lock, lockFile, 'default')[Symbol.dispose]()
    return statSync(dirname(lock.path)).mode & 0o777
  }
  t.is(made(stateDirLock(join(at, 'heddle/default'))), 0o700)
  t.is(statSync(join(at, 'heddle')).mode & 0o777, 0o700)
  t.is(made(subnetFileLock(join(at, 'run/subnet.env'))), 0o755)
})

test('writeAtomically() that fails leaves the old text and no half of the new', (t) => {
  const path = join(folder(t), 'file')
  mkdirSync(path)
  t.throws(() => writeAtomically(path, 'new', 0o644), { name: 'StateError', message: /file: E/ })
  t.false(existsSync(`${path}.new`))
})

test('sysctlName() is what sysctl(8) takes for interfaces with dots', (t) => {
  t.is(sysctlName('net/ipv4/ip_forward'), 'net.ipv4.ip_forward')
  t.is(sysctlName('net/ipv6/conf/flannel.1/accept_ra'), 'net.ipv6.conf.flannel/1.accept_ra')
})

const sample = `FLANNEL_NETWORK=10.1.0.0/16
FLANNEL_SUBNET=10.1.74.1/24
FLANNEL_MTU=1472
FLANNEL_IPMASQ=true
`

/** Runs mk-docker-opts.sh on a subnet file; what it wrote, or what it said when it failed. */
function makeOptions(
  t: ExecutionContext,
  given: { args?: readonly string[]; env?: Record<string, string>; text?: string; shell?: string },
): string {
  const { args = [], env = {}, text = sample, shell = 'sh' } = given
  const at = folder(t)
  writeFileSync(join(at, 'subnet.env'), text)
  const files = ['-f', join(at, 'subnet.env'), '-d', join(at, 'here.txt')]
  const command = [...shell.split(' '), script, ...files, ...args] as [string, ...string[]]
  const { status, stderr } = spawnSync(command[0], command.slice(1), {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...env },
    encoding: 'utf8',
  })
  if (status !== 0) return `exit ${status}: ${stderr}`
  t.deepEqual(readdirSync(at).toSorted(), ['here.txt', 'subnet.env'])
  return readFileSync(join(at, 'here.txt'), 'utf8')
}

const [bip, ipMasq, mtu] = [
  'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\n',
  'DOCKER_OPT_IPMASQ="--ip-masq=false"\n',
  'DOCKER_OPT_MTU="--mtu=1472"\n',
]
const all = ' --bip=10.1.74.1/24 --ip-masq=false --mtu=1472'

for (const [title, args, expected] of [
  ['without flags', [], `${bip}${ipMasq}${mtu}DOCKER_OPTS="${all}"\n`],
  ['-i', ['-i'], `${bip}${ipMasq}${mtu}`],
  ['-c', ['-c'], `DOCKER_OPTS="${all}"\n`],
  [
    '-k',
    ['-k', 'DOCKER_NETWORK_OPTIONS'],
    `${bip}${ipMasq}${mtu}DOCKER_NETWORK_OPTIONS="${all}"\n`,
  ],
  ['-m', ['-m'], `${bip}${mtu}DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n`],
  ['-i -c', ['-ic'], `${bip}${ipMasq}${mtu}DOCKER_OPTS="${all}"\n`],
] as const) {
  test(`mk-docker-opts.sh ${title} writes what flannel’s does (TestMkDockerOpts)`, (t) => {
    t.is(makeOptions(t, { args }), expected)
  })
}

test('mk-docker-opts.sh masquerades in docker where flannel does not, and says no to anything else', (t) => {
  const text = (value: string) => sample.replace('IPMASQ=true', `IPMASQ=${value}`)
  t.is(
    makeOptions(t, { text: text('false'), args: ['-c'] }),
    'DOCKER_OPTS=" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n',
  )
  t.is(
    makeOptions(t, { text: text('perhaps') }),
    'exit 1: mk-docker-opts.sh: Invalid value of FLANNEL_IPMASQ: perhaps\n',
  )
})

test('mk-docker-opts.sh keeps what the environment has', (t) => {
  const env = { DOCKER_OPTS: '--debug', DOCKER_OPT_ZONE: '--label=zone=a b', DOCKER_OPT_BIP: '-' }
  t.is(
    makeOptions(t, { env }),
    `${bip}${ipMasq}${mtu}DOCKER_OPT_ZONE="--label=zone=a b"\nDOCKER_OPTS="--debug${all} --label=zone=a b"\n`,
  )
})

for (const shell of ['sh', 'bash', 'busybox sh']) {
  test(`mk-docker-opts.sh in ${shell} writes nothing that a shell which sources it would run`, (t) => {
    const mark = join(folder(t), 'run')
    for (const value of [
      `a$(touch ${mark})b`,
      `\`touch ${mark}\``,
      `"; touch ${mark} "`,
      'a\\',
      'a\nb',
    ]) {
      for (const name of ['DOCKER_OPT_B', 'DOCKER_OPTS']) {
        const said = makeOptions(t, { shell, env: { [name]: value } })
        t.true(said.startsWith(`exit 1: mk-docker-opts.sh: ${name}: a value with `), said)
      }
    }
    t.false(existsSync(mark))
  })
}

for (const [what, given, said] of [
  ['a key that is no name', { args: ['-k', 'a;b'] }, /the name of a variable/],
  ['a missing subnet file', { args: ['-f', '/nonexistent/subnet.env'] }, /is missing: heddled/],
  ['an unknown flag', { args: ['-x'] }, /^usage: mk-docker-opts\.sh/m],
] as const) {
  test(`mk-docker-opts.sh refuses ${what}`, (t) => {
    const answer = makeOptions(t, given)
    t.true(answer.startsWith('exit 1: '), answer)
    t.regex(answer, said)
  })
}

test('mk-docker-opts.sh refuses a subnet that the host routes elsewhere', (t) => {
  const bin = folder(t)
  const route = 'case "$*" in *"exact 10.1.74.0/24") echo 10.1.74.0/24 via 10.0.0.9 dev eth0;; esac'
  writeFileSync(join(bin, 'ip'), `#!/bin/sh\n${route}\n`)
  chmodSync(join(bin, 'ip'), 0o755)
  t.is(
    makeOptions(t, { env: { PATH: `${bin}:/usr/bin:/bin` } }),
    'exit 1: mk-docker-opts.sh: Your routing table already contains the subnet: 10.1.74.0/24 via 10.0.0.9 dev eth0\n',
  )
})

const lines = (text: string, key: string) =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith(key))

for (const shell of ['sh', 'bash', 'busybox sh']) {
  test(`mk-docker-opts.sh in ${shell} and heddled write the same, for all subnets`, (t) => {
    for (const key of [
      '10.42.7.0-24',
      '10.42.7.64-26',
      '10.42.7.0-24&2001:cafe:42:7::-64',
      '10.42.7.0-24&2001:cafe:42::-64',
      '10.42.7.0-24&2001:cafe:42:1:2:3:4:0-120',
      '10.42.7.0-24&2001:cafe:42:1:2:3:4:a0-124',
    ]) {
      const subnets = parseLeaseKey(key)
      t.truthy(subnets, key)
      const env = subnetEnvFor(config, subnets ?? {}, { mtu: 1450, ipMasq: false })
      const written = makeOptions(t, { shell, text: formatSubnetEnv(env) })
      t.deepEqual(lines(written, '-'), lines(formatDockerOptions(env), 'DOCKER_NETWORK_OPTIONS'))
    }
  })
}
