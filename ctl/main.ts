import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type DaemonStatus, statusSocketPath } from '../conf/daemon-status.ts'
import { ask, DaemonUnreachableError, RefusedError } from './ask.ts'
import {
  type CheckConfig,
  ConfigRefusedError,
  getConfig,
  setConfig,
  validateConfig,
} from './config.ts'
import { type CtlTools, listLeases, releaseLease, reserveLease } from './lease.ts'
import { showStatus } from './show-status.ts'

const usage = `usage: heddlectl COMMAND [--instance NAME] [--format text|json]

status                  this host's lease, the store it is in, every peer, the last errors
                        exit code 0 when the daemon is ready, 3 when it is not, 1 when it does not answer
lease ls                every lease in the store
lease release           give back this host's lease; its daemon ends
lease release SUBNET    delete another host's lease, or a reservation
lease reserve SUBNET [--public-ip ADDRESS]... [--node-id ID]
                        keep a subnet for one host, or without either for whoever has it now, else for nobody
config get              the network's configuration in the store
config set FILE [--dry-run] [--force]
                        show what would change and what the daemons do about it, then write it if nobody else
                        has meanwhile; --force: also if daemons that run would refuse it
config validate FILE    whether it can be used; asks no daemon

FILE is JSON or YAML, - for standard input. SUBNET is like 10.244.3.0/24; with both families both, by comma.
        heddlectl --version | --help
`

const NOT_READY = 3

/** What heddlectl cannot do by itself. */
export interface CtlDeps {
  readonly version: string
  readonly checkConfig: CheckConfig
}

/** The command line is none. */
class MisuseError extends Error {
  override readonly name = 'MisuseError'
}

type Values = ReturnType<typeof parse>['values']

/** Runs a command with the words that follow it. */
type Command = (
  tools: CtlTools,
  operands: readonly string[],
  rest: { readonly values: Values; readonly deps: CtlDeps },
) => Promise<number>

/** By their words, with the number of operands they take. */
const commands: Readonly<
  Record<string, { readonly run: Command; readonly operands: readonly number[] }>
> = {
  status: { operands: [0], run: status },
  'lease ls': { operands: [0], run: listLeases },
  'lease release': { operands: [0, 1], run: (tools, [subnet]) => releaseLease(tools, subnet) },
  'lease reserve': {
    operands: [1],
    run: (tools, [subnet = ''], { values }) =>
      reserveLease(tools, subnet, { publicIPs: values['public-ip'], nodeId: values['node-id'] }),
  },
  'config get': { operands: [0], run: getConfig },
  'config set': {
    operands: [1],
    run: (tools, [file = ''], { values, deps }) => {
      const { 'dry-run': dryRun, force } = values
      return setConfig(tools, file, { dryRun, force, check: deps.checkConfig })
    },
  },
  'config validate': {
    operands: [1],
    run: (tools, [file = ''], { deps }) => validateConfig(tools, file, deps.checkConfig),
  },
}

/** `heddlectl`, what an operator types. Returns its exit code; 2 for a wrong command line. */
export async function runCtl(argv: readonly string[], deps: CtlDeps): Promise<number> {
  try {
    const { values, positionals } = readArgs(argv)
    if (values.help) return print(usage)
    if (values.version) return print(`heddlectl ${deps.version}\n`)
    const { command, operands } = find(positionals)
    const { format } = values
    if (format !== 'text' && format !== 'json') {
      throw new MisuseError(`--format is text or json, not "${format}"`)
    }
    const socket = statusSocketPath(values.instance)
    const tools: CtlTools = { ask: (question) => ask(socket, question), print, format }
    return await command(tools, operands, { values, deps })
  } catch (error) {
    if (error instanceof MisuseError) {
      writeFileSync(2, `heddlectl: ${error.message} (heddlectl --help lists the commands)\n`)
      return 2
    }
    if (!isExpected(error)) throw error
    writeFileSync(2, `heddlectl: ${error.message}\n`)
    return 1
  }
}

async function status({ ask, print, format }: CtlTools): Promise<number> {
  const answer = (await ask({ path: '/status' })) as DaemonStatus
  print(
    format === 'json'
      ? `${JSON.stringify(answer, undefined, 2)}\n`
      : showStatus(answer, Date.now()),
  )
  return answer.ready ? 0 : NOT_READY
}

/** What the message says all of. */
function isExpected(error: unknown): error is Error {
  return (
    error instanceof DaemonUnreachableError ||
    error instanceof RefusedError ||
    error instanceof ConfigRefusedError ||
    (error instanceof Error && 'syscall' in error)
  )
}

function find(positionals: readonly string[]): { command: Command; operands: readonly string[] } {
  const name = [1, 2]
    .map((words) => positionals.slice(0, words).join(' '))
    .find((words) => Object.hasOwn(commands, words))
  const command = name === undefined ? undefined : commands[name]
  if (name === undefined || !command) {
    const asked = positionals.join(' ')
    throw new MisuseError(asked === '' ? 'a command is missing' : `no such command: ${asked}`)
  }
  const operands = positionals.slice(name.split(' ').length)
  if (command.operands.includes(operands.length)) return { command: command.run, operands }
  const wanted = command.operands.join(' or ')
  throw new MisuseError(`${name} takes ${wanted} operands, not ${operands.length}`)
}

function readArgs(argv: readonly string[]): ReturnType<typeof parse> {
  try {
    return parse(argv)
  } catch (error) {
    throw new MisuseError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      instance: { type: 'string', default: 'default' },
      format: { type: 'string', default: 'text' },
      'public-ip': { type: 'string', multiple: true, default: [] },
      'node-id': { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      force: { type: 'boolean', default: false },
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
