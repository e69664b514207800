import type { Host, Pod } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'

/** What makes up a host and its pods, line by line, under what kind of thing it is. */
export type State = Readonly<Record<string, readonly string[]>>

/** Reads the links, addresses, routes, rules and files of a host, and of pods on it. */
export async function readState(host: Host, pods: readonly Pod[] = []): Promise<State> {
  const names = pods.map(({ path }) => path.slice(path.lastIndexOf('/') + 1))
  const text = await runAt(host, ['sh', '-c', script, 'sh', ...names])
  const state: Record<string, string[]> = {}
  let section: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) section = state[line.slice(3)] ??= []
    else if (line.trim() !== '') section.push(line)
  }
  return state
}

// Timers, lifetimes and carriers change by themselves. The lock, where the next search begins, and our own notes about that
// belong to no container; an empty file is left out by grep, and so are links that hold one another promiscuous.
const script = `
show() {
  echo "## link$2"
  ip $1 -oneline -details link | sed -E 's/ (gc|hello|tcn|forward_delay|topology_change|message_age|hold)_timer +[0-9.]+| (promiscuity [0-9]+|state [A-Z]+)|NO-CARRIER,|,LOWER_UP//g'
  echo "## address$2"; ip $1 -oneline address | sed -E 's/ (valid|preferred)_lft [^ ]+//g'
  echo "## route$2"; { ip $1 route show table all; ip $1 -6 route show table all; } | sed 's/ linkdown//'
}
show "" ""
for pod; do show "-netns $pod" " in $pod"; done
echo '## rule'; /usr/sbin/nft list ruleset || exit
echo '## qdisc'; tc qdisc show | grep -Ev 'qdisc (noqueue|noop) '
files() {
  [ ! -d "$1" ] || (cd "$1" && grep -ra --exclude=lock --exclude='last_reserved_ip.*' '' . | tr '\\r' ' ' | sort)
}
echo '## reservation'; files /var/lib/cni | grep -v '^./networks/[.]heddle/'
echo '## record'; files /run/heddle; files /var/lib/heddle
`

/** `- address: ...` for what went, `+ rule: ...` for what came. */
export function differences(before: State, after: State): string[] {
  const kinds = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return kinds.flatMap((kind) => {
    const [old, now] = [before[kind] ?? [], after[kind] ?? []]
    return [
      ...old.filter((line) => !now.includes(line)).map((line) => `- ${kind}: ${line}`),
      ...now.filter((line) => !old.includes(line)).map((line) => `+ ${kind}: ${line}`),
    ]
  })
}

/** The kinds of things that came, each once: what a deviation's table can name. */
export function leftovers(before: State, after: State): string[] {
  const lines = differences(before, after).filter((line) => line.startsWith('+ '))
  const kinds = lines.map((line) => line.slice(2, line.indexOf(':')).replace(/ in .*/, ' inside'))
  return [...new Set(kinds)].toSorted()
}
