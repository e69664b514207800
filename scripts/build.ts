/**
 * Compiles heddle.ts into dist/: one executable, hard-linked under the name of each role.
 * See `scripts/build --help`.
 */
import { linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compile, hostTarget, targets } from './compile.ts'

const root = join(import.meta.dirname, '..')

/** The names under which the executable is shipped; scripts/install adds the drop-in names. */
const names = ['heddle', 'heddle-ipam', 'heddled', 'heddlectl', 'loopback'] as const

const usage = `usage: scripts/build [--target TARGET]...

Compiles heddle into dist/ (this machine) or dist/TARGET/ (with --target).
TARGET: ${Object.keys(targets).join(', ')}, or "all"
`

async function build(target: string, outDir: string): Promise<void> {
  mkdirSync(outDir, { recursive: true })
  const made = join(outDir, `.heddle-${process.pid}`)
  await compile(join(root, 'heddle.ts'), made, target)
  // By rename, so that a running executable is never written to ("text file busy").
  for (const name of names) {
    const link = `${made}-${name}`
    linkSync(made, link)
    renameSync(link, join(outDir, name))
  }
  rmSync(made)
  const size = Math.round(statSync(join(outDir, 'heddle')).size / 2 ** 20)
  process.stderr.write(`built ${outDir} for ${target}: ${size} MiB, ${names.join(' ')}\n`)
}

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const asked = values.target.includes('all') ? Object.keys(targets) : values.target
const unknown = asked.find((target) => targets[target] === undefined)
if (values.help) {
  process.stdout.write(usage)
} else if (unknown !== undefined) {
  process.stderr.write(`scripts/build: unknown target "${unknown}"\n${usage}`)
  process.exitCode = 2
} else if (asked.length === 0) {
  await build(hostTarget(), join(root, 'dist'))
} else {
  for (const target of asked) await build(target, join(root, 'dist', target))
}
