import { readFileSync } from 'node:fs'
import { dist } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt, runAt } from '../../scripts/lab/place.ts'
import { changes } from './cni-support.ts'
import { nth } from './support.ts'

/** A container on a host, and the configuration that it is attached by again and again. */
export interface Subject {
  readonly host: Host
  readonly pod: Pod
  readonly conf: object
  /** The executable's path. */
  readonly plugin: string
  /** Attachments of the network that must survive, by container id; each has an eth0. */
  readonly others: readonly string[]
}

export type Verb = 'ADD' | 'DEL' | 'GC'

/** A system call of the plugin's main thread: the n-th of its name since the program started. */
export interface Point {
  readonly call: string
  readonly occurrence: number
}

/** What came of a run that was to be killed at a point, and of the run that cleaned up after it. */
export interface Kill {
  readonly killed: boolean
  /** The host's state between the two. */
  readonly between: readonly string[]
  readonly after: readonly string[]
  /** How the clean-up ended: its exit code and what it said. */
  readonly cleaned: string
}

/**
 * The container id by which a runtime would know a pod. Not the same on two hosts: they share the
 * machine's processes, and GC spares the containers that a process seems to be attaching.
 */
export function idOf({ name, host }: Pod): string {
  return `${host.lab.name}-${name.replaceAll('/', '-')}`
}

/** Variables of one call about a subject, as a runtime sets them. */
export function environmentOf({ pod }: Pick<Subject, 'pod'>, verb: Verb): Record<string, string> {
  const isGc = verb === 'GC'
  return {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: isGc ? '' : idOf(pod),
    CNI_NETNS: isGc ? '' : pod.path,
    CNI_IFNAME: isGc ? '' : 'eth0',
    CNI_PATH: dist,
    CNI_ARGS: '',
    CNI_NETNS_OVERRIDE: '',
  }
}

/** The standard input of a verb. GC comes with the list of what shall stay. */
export function inputOf({ conf, others }: Subject, verb: Verb): string {
  if (verb !== 'GC') return JSON.stringify(conf)
  const valid = others.map((containerID) => ({ containerID, ifname: 'eth0' }))
  return JSON.stringify({ ...conf, cniVersion: '1.1.0', 'cni.dev/valid-attachments': valid })
}

/**
 * What makes up the state of a host and its pods, one line an object. What IPAM keeps of a network as
 * a whole is left out: the locks, where the next search begins, which addresses were freed lately,
 * and whether its index is whole.
 */
export const stateScript = `
place() {
  printf '%s\\n' 'link show' 'addr show' 'route show table all' 'neigh show nud permanent' |
    ip $1 -oneline -details -batch - |
    sed -E 's/ (gc|hello|tcn|forward_delay|topology_change|message_age|hold)_timer +[0-9.]+//g; s/ (valid|preferred)_lft [^ ]+//g'
  /usr/sbin/tc $1 qdisc show
}
place
for name in $(ls /run/netns); do place "-n $name"; done
bridge -oneline link; /usr/sbin/nft list ruleset || exit
for folder in /var/lib/cni /run/heddle /var/lib/heddle; do
  find "$folder" -type f ! -name lock ! -name 'last_reserved_ip.*' ! -path '*/.heddle/*/freed' ! -path '*/.heddle/*/state' -print -exec cat {} ';' -exec echo ';' 2>/dev/null
done
for lock in $(find /var/lib/cni -name lock); do flock -n "$lock" true || echo "$lock is held"; done
true`

/** The state of a host, as lines. */
export async function stateOf(host: Host): Promise<readonly string[]> {
  return linesOf(await runAt(host, ['sh', '-c', stateScript]))
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '')
}

/** Runs a verb to its end. */
export function runVerb(subject: Subject, verb: Verb) {
  return attemptAt(subject.host, [subject.plugin], {
    input: inputOf(subject, verb),
    env: environmentOf(subject, verb),
  })
}

/** A call by which the plugin changes something that outlives it. */
const effect =
  /^(mkdir|link|unlink|rename|flock)(at2?)?\(|^open(at)?\(.*O_CREAT|^sendto\(.*(RTM_|NFT_MSG_)(NEW|DEL)/

/**
 * Runs a verb that must succeed and lists the system calls of its main thread, from the first
 * effect on. Throws if another thread has effects: nobody would count its calls.
 */
export async function recordPoints(subject: Subject, verb: Verb): Promise<Point[]> {
  const trace = `/run/lab/trace-${verb}`
  const under = ['strace', '-f', '-qq', '-o', trace] as const
  const { code, stdout } = await attemptAt(subject.host, [...under, subject.plugin], {
    input: inputOf(subject, verb),
    env: environmentOf(subject, verb),
  })
  if (code !== 0) throw new Error(`${verb} to be recorded failed: ${stdout}`)
  return pointsOf(readFileSync(hostFile(subject.host, trace), 'utf8'))
}

function pointsOf(trace: string): Point[] {
  const calls = trace.split('\n').flatMap((line) => {
    const [, pid = '', text = ''] = /^(\d+) +(\w+\(.*)/.exec(line) ?? []
    return text === '' ? [] : [{ pid, text }]
  })
  const main = nth(calls, 0).pid
  const stray = calls.find(({ pid, text }) => pid !== main && effect.test(text))
  if (stray) throw new Error(`A thread beside the main one has an effect: ${stray.text}`)
  const counts = new Map<string, number>()
  const points: Point[] = []
  for (const { pid, text } of calls) {
    if (pid !== main) continue
    const call = text.slice(0, text.indexOf('('))
    const occurrence = (counts.get(call) ?? 0) + 1
    counts.set(call, occurrence)
    if (points.length > 0 || effect.test(text)) points.push({ call, occurrence })
  }
  return points
}

/** At most `limit` of the points, evenly spread. */
export function sample<T>(points: readonly T[], limit: number): T[] {
  if (points.length <= limit) return [...points]
  return Array.from({ length: limit }, (_, i) => {
    return nth(points, Math.floor((i * points.length) / limit))
  })
}

/**
 * The words that run a program and kill it at a point. strace sends the signal when the call is
 * entered, and a call so interrupted is not carried out: all before it is done, and it is not. So
 * the point after a call is where that call is done and its answer unread. Only the main thread is
 * traced, hence counted; SIGKILL ends the others with it.
 */
export function killingAt({ call, occurrence }: Point): string[] {
  const inject = `inject=${call}:signal=SIGKILL:when=${occurrence}`
  return ['strace', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject]
}

const mark = '-- cut here --'

/** One verb killed at a point, then another that cleans up, with the states after each. */
export async function killAndClean(
  subject: Subject,
  verb: Verb,
  point: Point,
  cleaner: Verb,
): Promise<Kill> {
  const words = [...killingAt(point), subject.plugin].join(' ')
  const script = `
printf %s "$KILLED" | env ${shellWords(environmentOf(subject, verb))} ${words} >/dev/null 2>&1; echo $?
echo '${mark}'
(${stateScript})
echo '${mark}'
printf %s "$CLEANER" | env ${shellWords(environmentOf(subject, cleaner))} ${subject.plugin}; echo "exit $?"
echo '${mark}'
(${stateScript})`
  const text = await runAt(subject.host, ['sh', '-c', script], {
    // The variables of the verb are only the plugin's: GC spares what an ADD seems to be at work on.
    env: { KILLED: inputOf(subject, verb), CLEANER: inputOf(subject, cleaner) },
  })
  const [code = '', between = '', cleaned = '', after = ''] = text.split(`${mark}\n`)
  return {
    killed: code.trim() === '137',
    between: linesOf(between),
    cleaned: cleaned.trim(),
    after: linesOf(after),
  }
}

function shellWords(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([key, value]) => `'${key}=${value}'`)
    .join(' ')
}

/** As `changes`, without the numbers of links, which grow with every attachment. */
export function plainChanges(before: readonly string[], after: readonly string[]): string[] {
  return changes(before, after).map((line) => line.replace(/^(. )\d+: |@if\d+|ifindex \d+/g, '$1'))
}
