import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attempt } from '../../scripts/lab/run.ts'

/**
 * Builds commands by Go, where that is, from what their authors published (`path@version`). Their
 * folder, which goes with this process, or the reason why they are not there.
 */
export async function goInstall(
  ...commands: readonly string[]
): Promise<{ folder: string } | { reason: string }> {
  const go = goProgram()
  if (go === undefined) return { reason: 'there is no Go here' }
  const folder = mkdtempSync(join(tmpdir(), 'heddle-go-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const { code, stderr } = await attempt([go, 'install', ...commands], {
    env: { GOBIN: folder },
    timeoutMs: 200_000,
  })
  if (code === 0) return { folder }
  return { reason: `go install failed: ${stderr.trim().split('\n').at(-1)}` }
}

/** Where the go command is; undefined if it is nowhere. */
export function goProgram(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/go/bin']
  return folders.map((path) => join(path, 'go')).find((file) => existsSync(file))
}
