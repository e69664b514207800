import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

type Define = (title: string, body: (t: ExecutionContext) => Promise<void>) => void

/** `test`; where there is a reason why it cannot run here, `test.skip` with that in the title. */
export function testUnless(reason: string | undefined): Define {
  if (reason === undefined) return test
  return (title, body) => test.skip(`${title} (${reason})`, body)
}

/** `test` where these programs and files are installed. */
export function testWith(...needed: readonly string[]): Define {
  const missing = needed.find((name) => !isInstalled(name))
  return testUnless(missing && `${missing} is not installed`)
}

function isInstalled(name: string): boolean {
  if (name.startsWith('/')) return existsSync(name)
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
  return folders.some((folder) => existsSync(join(folder, name)))
}
