import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type DaemonStatus, statusSocketPath } from '../conf/daemon-status.ts'
import { ask, DaemonUnreachableError } from './ask.ts'
import { showStatus } from './show-status.ts'

const usage = `usage: heddlectl status [--instance NAME] [--format text|json]
       heddlectl --version | --help

status   this host's lease, the store it is in, and every peer
         exit code 0 when the daemon is ready, 3 when it is not, 1 when it does not answer
`

const NOT_READY = 3

/** `heddlectl`, what an operator types. Returns its exit code; 2 for a wrong command line. */
export async function runCtl(
  argv: readonly string[],
  { version }: { readonly version: string },
): Promise<number> {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(argv)
  } catch (error) {
    return misused(error instanceof Error ? error.message : String(error))
  }
  const { values, positionals } = parsed
  if (values.help) return print(usage)
  if (values.version) return print(`heddlectl ${version}\n`)
  const [command, ...rest] = positionals
  if (command !== 'status' || rest.length > 0)
    return misused(`no such command: ${positionals.join(' ')}`)
  if (values.format !== 'text' && values.format !== 'json') {
    return misused(`--format is text or json, not "${values.format}"`)
  }
  try {
    return await status(values.instance, values.format)
  } catch (error) {
    if (!(error instanceof DaemonUnreachableError)) throw error
    writeFileSync(2, `heddlectl: ${error.message}\n`)
    return 1
  }
}

async function status(instance: string, format: 'text' | 'json'): Promise<number> {
  const answer = (await ask(statusSocketPath(instance), '/status')) as DaemonStatus
  print(
    format === 'json'
      ? `${JSON.stringify(answer, undefined, 2)}\n`
      : showStatus(answer, Date.now()),
  )
  return answer.ready ? 0 : NOT_READY
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      instance: { type: 'string', default: 'default' },
      format: { type: 'string', default: 'text' },
      version: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
}

function print(text: string): number {
  // Unlike writeSync it goes on until all is written.
  writeFileSync(1, text)
  return 0
}

function misused(message: string): number {
  writeFileSync(2, `heddlectl: ${message}\n${usage}`)
  return 2
}
