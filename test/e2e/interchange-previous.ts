import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attempt } from '../../scripts/lab/run.ts'

const root = join(import.meta.dirname, '../..')

/** The build whose state this one must take over, and which must take over ours. */
const previousCommit = '56f70f3'

/**
 * Compiles the previous build from the history into a folder that goes with this process. Its tree,
 * or why there is none: a shallow clone has no history.
 */
export async function buildPrevious(): Promise<{ tree: string } | { reason: string }> {
  const git = ['git', '-C', root] as const
  const found = await attempt([...git, 'cat-file', '-e', `${previousCommit}^{commit}`])
  if (found.code !== 0) return { reason: `commit ${previousCommit} is not in the history` }
  const tree = mkdtempSync(join(tmpdir(), 'heddle-previous-'))
  process.on('exit', () => rmSync(tree, { recursive: true, force: true }))
  const archive = join(tree, 'tree.tar')
  const steps = [
    [...git, 'archive', '--output', archive, previousCommit],
    ['tar', '-C', tree, '-xf', archive],
    [process.execPath, join(tree, 'scripts/build.ts')],
  ] as const
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
  for (const step of steps) {
    const { code, stderr } = await attempt(step, { timeoutMs: 120_000 })
    if (code !== 0) return { reason: `${step.join(' ')}: ${stderr}` }
  }
  return { tree }
}
