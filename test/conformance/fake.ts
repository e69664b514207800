import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { folderOf, type Maker } from './subjects.ts'

/** One call of a fake plugin. */
export interface Seen {
  readonly command: string
  readonly stdin: string
  /** As the shell's `export -p` lists it. */
  readonly env: string
  /** Whether it ran in the host's own network namespace. */
  readonly outside: boolean
}

/** A plugin of somebody else's making, and what it was asked. */
export interface Fake {
  /** Its name, found only in `path`. */
  readonly type: string
  /** A CNI_PATH with the subject's own folder after the fake's. */
  readonly path: string
  /** The folder of the fake alone. */
  readonly folder: string
  readonly seen: () => Seen[]
}

/** What a fake answers. */
export interface FakeAnswer {
  /** On ADD; other verbs print nothing. */
  readonly stdout?: string
  readonly stderr?: string
  /** Verbs that fail, and the error they print. */
  readonly fails?: Readonly<Record<string, string>>
}

let fakes = 0

/** Where a fake is put, and beside whose plugins: a case is one. */
export interface FakeSite {
  readonly host: Host
  readonly number: number
  readonly subject: { readonly maker: Maker }
}

/**
 * Writes a plugin that notes how it was called. It is a shell script that starts no program, so that
 * it counts as one.
 */
export function fakePlugin(
  c: FakeSite,
  { stdout = '{}', stderr = '', fails = {} }: FakeAnswer,
): Fake {
  const type = `fake${c.number}x${fakes++}`
  const folder = `/run/lab/${type}`
  const files = hostFile(c.host, folder)
  for (const kind of ['seen', 'stdin']) mkdirSync(`${files}/${kind}`, { recursive: true })
  writeFileSync(`${files}/answer`, stdout)
  for (const [verb, text] of Object.entries(fails)) writeFileSync(`${files}/fails-${verb}`, text)
  const script = `#!/bin/sh
n=0
while [ -e ${folder}/seen/$n ]; do n=$((n + 1)); done
stdin= line=
while IFS= read -r line; do stdin="$stdin$line
"; done
printf '%s' "$stdin$line" >${folder}/stdin/$n
[ /proc/self/ns/net -ef /proc/${c.host.anchor}/ns/net ] && place=outside || place=inside
printf '%s\\n%s\\n' "$CNI_COMMAND" "$place" >${folder}/seen/$n
export -p >>${folder}/seen/$n
printf '%s' '${stderr}' >&2
print() { IFS= read -r text <"$1"; printf '%s' "$text"; }
if [ -e ${folder}/fails-$CNI_COMMAND ]; then print ${folder}/fails-$CNI_COMMAND; exit 1; fi
[ "$CNI_COMMAND" != ADD ] || print ${folder}/answer
`
  writeFileSync(`${files}/${type}`, script, { mode: 0o755 })
  return {
    type,
    folder,
    path: `${folder}:${folderOf(c.subject.maker)}`,
    seen: () =>
      readdirSync(`${files}/seen`)
        .toSorted((a, b) => Number(a) - Number(b))
        .map((name) => ({
          ...readSeen(readFileSync(`${files}/seen/${name}`, 'utf8')),
          stdin: readFileSync(`${files}/stdin/${name}`, 'utf8'),
        })),
  }
}

function readSeen(text: string): Omit<Seen, 'stdin'> {
  const [command = '', place, ...env] = text.split('\n')
  return { command, env: env.join('\n'), outside: place === 'outside' }
}
