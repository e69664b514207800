import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { addPod, type Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { until } from '../../scripts/lab/run.ts'
import { type Base, bases, type FuzzRole, neighbour, subnetText } from '../fuzz/base-confs.ts'
import { baseFor, type FuzzCase, stdinOf } from '../fuzz/cases.ts'
import { answerFault, errorOf } from '../fuzz/judge.ts'
import { bareHost } from './cni-support.ts'

/** Where a host has what only these tests need: the names of the roles, and CNI_PATH. */
const folder = '/run/lab/fuzz'
/** Without the roles: a plugin that delegates to itself never ends. */
const plugins = `${folder}/plugins`
const timeoutMs = 30_000

/** An IPAM plugin of others, so to speak. */
const fakeIpam = `#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.0.0","ips":[{"address":"10.88.0.60/24","gateway":"10.88.0.1"}]}'
`

/**
 * Whatever a configuration calls a path, the machine's own files stay as they are; then the names
 * of the roles, a container with an interface from a chain's first plugin, and one without.
 */
const prepareScript = `
set -eu
mkdir -p ${plugins} /run/flannel
for name in flannel bridge portmap bandwidth loopback heddle heddle-ipam; do ln -sf "$DIST/heddle" ${folder}/$name; done
printf %s "$SUBNET" >/run/flannel/subnet.env
printf %s "$IPAM" >${plugins}/fake-ipam; chmod 755 ${plugins}/fake-ipam
while read -r _ point _; do
  case $point in /proc* | /sys* | /run* | /etc* | /var/lib* | /dev*) ;; *) mount -o remount,bind,ro "$point" || true ;; esac
done </proc/self/mounts
for name in c0 c1; do ip -netns $name link set lo down; done
ip link add br9 type bridge
ip link set br9 addrgenmode none up
ip link add veth9 address 02:00:00:00:00:0a master br9 type veth peer name eth0 address 02:00:00:00:00:0b netns c1
ip link set veth9 addrgenmode none up; ip -netns c1 link set eth0 addrgenmode none
ip -netns c1 addr add 10.88.0.9/24 dev eth0; ip -netns c1 link set eth0 up`

/** A host for fuzzing: no file of the machine can be written there. */
export async function fuzzHost(t: ExecutionContext, name: string): Promise<Host> {
  const host = await bareHost(t, name)
  for (const pod of ['c0', 'c1', 'n1']) await addPod(host, pod)
  const env = { DIST: dist, SUBNET: subnetText, IPAM: fakeIpam }
  await runAt(host, ['sh', '-c', prepareScript], { env })
  await mustExecute(t, host, goodRun(host, neighbour, 'ADD', 'n1'))
  // What a first run leaves for good, such as forwarding, is no trace of the others.
  for (const base of bases) {
    for (const verb of ['ADD', 'DEL']) await mustExecute(t, host, goodRun(host, base, verb))
  }
  // A bridge is up a moment after its port is.
  const isUp = async () =>
    (await runAt(host, ['cat', '/sys/class/net/br9/operstate'])).trim() === 'up'
  await until('the bridges to be up', isUp, { timeoutMs: 5000 })
  return host
}

async function mustExecute(t: ExecutionContext, host: Host, run: Execution): Promise<void> {
  const { code, stdout, stderr } = await execute(host, run)
  t.is(code, 0, `${run.role} ${run.env['CNI_COMMAND']}: ${stdout}${stderr}`)
}

export interface Execution {
  readonly role: FuzzRole
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Uint8Array
}

export interface Executed {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a plugin to its end; code 124 if that does not come. */
export function execute(host: Host, { role, env, stdin }: Execution): Promise<Executed> {
  const [file, ...args] = [...host.enter, join(folder, role)]
  const child = spawn(file, args, {
    env: { PATH: process.env['PATH'], ...env },
    cwd: '/',
    detached: true,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // It may end before it has read all.
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const timer = setTimeout(() => killGroup(child.pid), timeoutMs)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code: code ?? 124, stdout, stderr })
    })
  })
}

/** Ends a run with all that it has started. */
function killGroup(pid: number | undefined): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL')
}

function environmentOf(host: Host, pod: string): Record<string, string> {
  return {
    CNI_CONTAINERID: `${host.lab.name}-${pod}`,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: plugins,
  }
}

/** A run of a base as it is, by default on the container that is as it needs it. */
function goodRun(
  host: Host,
  base: Base,
  verb: string,
  pod = base.chained ? 'c1' : 'c0',
): Execution {
  const env = { ...environmentOf(host, pod), CNI_ARGS: base.args ?? '', CNI_COMMAND: verb }
  return { role: base.role, env, stdin: Buffer.from(JSON.stringify(base.conf)) }
}

/** What is wrong with how a case went, traces aside, and what it was given. */
export interface Verdict {
  readonly stage: string
  readonly fault: string | undefined
  readonly stdin: Buffer
}

/** Carries a case out, and undoes it. */
export function executeCase(host: Host, run: FuzzCase): Promise<Verdict> {
  return run.verb === 'ADD' ? executeAdd(host, run) : executeOther(host, run)
}

/** The run as the case has it. */
function givenRun(host: Host, { base, verb, variables }: FuzzCase, stdin: Uint8Array): Execution {
  const { role, env } = goodRun(host, base, verb)
  return { role, env: { ...env, ...variables }, stdin }
}

async function executeAdd(host: Host, run: FuzzCase): Promise<Verdict> {
  const stdin = stdinOf(run)
  const given = givenRun(host, run, stdin)
  const ended = await execute(host, given)
  const verdict = { stage: stageOf(run, ended), fault: faultOf(run, ended), stdin }
  if (ended.code !== 0) return verdict
  const deleted = await execute(host, { ...given, env: { ...given.env, CNI_COMMAND: 'DEL' } })
  if (deleted.code === 0) return verdict
  return { ...verdict, fault: verdict.fault ?? `DEL after it failed: ${deleted.stdout}` }
}

/** Another verb, on a container that is attached. */
async function executeOther(host: Host, run: FuzzCase): Promise<Verdict> {
  const { base } = run
  const added = await execute(host, goodRun(host, base, 'ADD'))
  const prevResult = base.role === 'heddle-ipam' ? undefined : JSON.parse(added.stdout || '{}')
  const stdin = stdinOf({ ...run, base: baseFor(run, prevResult) })
  const ended = await execute(host, givenRun(host, run, stdin))
  const deleted = await execute(host, goodRun(host, base, 'DEL'))
  const fault = faultOf(run, ended) ?? baseFault(added) ?? baseFault(deleted)
  return { stage: stageOf(run, ended), fault, stdin }
}

function baseFault({ code, stdout, stderr }: Executed): string | undefined {
  // A run before it may have given the bridge another address, which stays.
  if (code === 0 || errorOf(stdout)?.code === 102) return undefined
  return `ADD or DEL of the base failed: exit ${code}: ${stdout}${stderr}`
}

function faultOf({ verb, base }: FuzzCase, ended: Executed): string | undefined {
  const fault = answerFault({ verb, ...ended, chained: base.chained === true })
  return fault && `${fault}; exit ${ended.code}: ${ended.stdout}${ended.stderr}`
}

/** Codes of failures that only the kernel, or what it holds, can have brought about. */
const kernelCodes: readonly unknown[] = [100, 101, 102, 103]

function stageOf({ verb }: FuzzCase, { code, stdout }: Executed): string {
  const error = code === 0 ? undefined : (errorOf(stdout)?.code ?? 'none')
  const works = ['ADD', 'DEL', 'CHECK', 'GC'].includes(verb)
  const stage = (works && code === 0) || kernelCodes.includes(error) ? 'kernel' : 'configuration'
  return `${stage}: ${verb || 'no verb'} ${error === undefined ? 'done' : `code ${error}`}`
}

/**
 * What belongs to attachments, one line an object. Bridges that nobody knows are removed first: a
 * failed ADD may leave the one it made, and there would be hundreds.
 */
const stateScript = `
ip -oneline link show type bridge | while IFS=': ' read -r _ name _; do
  case $name in other0 | br9) ;; *) ip link delete "$name" ;; esac
done
place() {
  printf '%s\\n' 'link show' 'addr show' 'route show table all' 'neigh show nud permanent' | ip $1 -oneline -batch - |
    sed -E 's/ (valid|preferred)_lft [^ ]+//g'
  /usr/sbin/tc $1 qdisc show
}
place
for name in c0 c1 n1; do place "-netns $name"; done
rules=$(/usr/sbin/nft list ruleset) || exit
printf '%s\\n' "$rules" | grep -oE 'comment "[^" ]+ [^" ]+ [^" ]+"' | sort
for folder in /var/lib /run /etc /dev/shm; do
  find "$folder" -newer ${plugins}/fake-ipam ! -type d ! -type s ! -path '/run/netns/*' ! -path '/run/lab/*' ! -path '/run/heddle-lab/*' \\
    ! -name lock ! -name 'last_reserved_ip.*' ! -path '*/.heddle/*/freed' ! -path '*/.heddle/*/state' -print
done
true`

export async function traces(host: Host): Promise<readonly string[]> {
  return (await runAt(host, ['sh', '-c', stateScript])).split('\n').filter((line) => line !== '')
}
