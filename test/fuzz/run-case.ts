/**
 * Carries a case out in process and judges it. To be imported after `use-rooted-fs.ts`.
 */
import { baseFor, type FuzzCase, stdinOf } from './cases.ts'
import { answerFault, errorOf } from './judge.ts'
import type { Fault } from './model-kernel.ts'
import { changingCalls, failFileCall } from './rooted-fs.ts'
import {
  addChainedLink,
  type Ended,
  environmentOf,
  newWorld,
  runOn,
  type World,
  worldLines,
} from './run-model.ts'

/** A case, and what else goes wrong during its ADD. */
export interface ModelCase {
  readonly run: FuzzCase
  readonly fault?: ModelFault | undefined
}

/** A message to the kernel fails, or a call that changes a file. */
export type ModelFault =
  | Fault
  | { readonly how: 'file'; readonly at: number; readonly code: string }

let idle: World | undefined

/** A fresh world, or the last one if nothing has happened to it. */
function takeWorld(chained: boolean): World {
  const world = idle ?? newWorld()
  idle = undefined
  if (chained) addChainedLink(world)
  return world
}

/** What is wrong with a run, and what it was given. */
export class CaseError extends Error {
  override readonly name = 'CaseError'
  readonly stdin: Buffer

  constructor(message: string, stdin: Buffer) {
    super(message)
    this.stdin = stdin
  }
}

/** Runs a case. Returns how it ended. @throws CaseError telling what is wrong with that. */
export function runCase(given: ModelCase): string {
  const { run, fault } = given
  const world = takeWorld(run.base.chained === true)
  const isAdd = run.verb === 'ADD'
  const base = isAdd ? run.base : baseFor(run, addedResult(world, run))
  const stdin = stdinOf({ ...run, base })
  try {
    return judge(world, run, { stdin, fault: isAdd ? fault : undefined })
  } catch (error) {
    throw new CaseError(error instanceof Error ? error.message : String(error), stdin)
  }
}

function judge(
  world: World,
  run: FuzzCase,
  { stdin, fault }: { readonly stdin: Buffer; readonly fault: ModelFault | undefined },
): string {
  const env = { ...environmentOf('c1'), CNI_ARGS: run.base.args ?? '', ...run.variables }
  const before = worldLines(world)
  failFileCall(0, '')
  if (fault) arm(world, fault)
  const ended = runOn(world, run.base.role, { ...env, CNI_COMMAND: run.verb }, stdin)
  world.kernel.fault = undefined
  const isTouched = run.verb !== 'ADD' || changingCalls() > 0 || ended.messages > 0
  failFileCall(0, '')
  refuseAnswer(run, ended)
  if (!isTouched && !run.base.chained) idle = world
  if (isTouched) judgeState(run, { world, before, ended, env, stdin })
  return stageOf(run, ended)
}

/** Attaches the container by the base as it is; what was printed. */
function addedResult(world: World, run: FuzzCase): unknown {
  const added = runGood(world, run, 'ADD')
  if (added.code !== 0) throw new Error(`ADD of the base failed: ${added.stdout}`)
  return run.base.role === 'heddle-ipam' ? undefined : JSON.parse(added.stdout)
}

function arm({ kernel }: World, fault: ModelFault): void {
  if (fault.how === 'file') failFileCall(fault.at, fault.code)
  else kernel.fault = { ...fault, at: fault.at + kernel.messages }
}

/** The base's own configuration, unharmed. */
function runGood(world: World, { base }: FuzzCase, verb: 'ADD' | 'DEL'): Ended {
  const env = { ...environmentOf('c1'), CNI_ARGS: base.args ?? '', CNI_COMMAND: verb }
  return runOn(world, base.role, env, Buffer.from(JSON.stringify(base.conf)))
}

function refuseAnswer({ verb, base }: FuzzCase, { code, stdout, stderr }: Ended): void {
  const chained = base.chained === true
  const fault = answerFault({ verb, code, stdout, stderr, chained })
  if (fault) throw new Error(`${fault}; exit ${code}, standard output: ${stdout}, error: ${stderr}`)
}

interface Outcome {
  readonly world: World
  readonly before: readonly string[]
  readonly ended: Ended
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Uint8Array
}

function judgeState(run: FuzzCase, { world, before, ended, env, stdin }: Outcome): void {
  const after = worldLines(world)
  const { verb, base } = run
  if (verb === 'ADD') {
    if (ended.code === 0) {
      const deleted = runOn(world, base.role, { ...env, CNI_COMMAND: 'DEL' }, stdin)
      refuseAnswer({ ...run, verb: 'DEL' }, deleted)
      if (deleted.code !== 0) throw new Error(`DEL after it failed: ${deleted.stdout}`)
    }
    refuseTraces(before, worldLines(world), `after ${ended.code ? 'a failed ADD' : 'DEL'}`)
    return
  }
  if (verb !== 'DEL' && verb !== 'GC') refuseTraces(before, after, `after ${verb}`)
  const deleted = runGood(world, run, 'DEL')
  if (deleted.code !== 0) throw new Error(`the good DEL after ${verb} failed: ${deleted.stdout}`)
  const world0 = newWorldLines(run)
  refuseTraces(world0, worldLines(world), `after ${verb} and a good DEL`)
}

/** What there is before anything of a case has happened. */
function newWorldLines({ base }: FuzzCase): readonly string[] {
  return base.chained ? chainedLines : plainLines
}

const plainLines = worldLines((idle = newWorld()))
const chainedLines = worldLines(takeWorld(true))

/** What belongs to no attachment and may stay: bridges, tables, and what IPAM keeps of a network. */
const shared =
  /^host link .*"kind":"bridge"|^(table|chain) |^set (?!.* owned$)|^file .+\/(lock|last_reserved_ip\.\d+|state|freed) /

function refuseTraces(before: readonly string[], after: readonly string[], when: string): void {
  const bridges = after.flatMap((line) => {
    const [, index] = /^host link \{"index":(\d+),.*"kind":"bridge"/.exec(line) ?? []
    return index ? [`host address on ${index}:`, `host route on ${index}:`] : []
  })
  const isShared = (line: string) =>
    shared.test(line) || bridges.some((prefix) => line.startsWith(prefix))
  const known = new Set(before)
  const left = after.filter((line) => !known.has(line) && !isShared(line))
  const there = new Set(after)
  const lost = before.filter((line) => !there.has(line) && !isShared(line))
  if (left.length + lost.length === 0) return
  throw new Error(`${when}: left ${left.join('\n')}\nlost ${lost.join('\n')}`)
}

function stageOf({ verb }: FuzzCase, { code, stdout, messages, opened }: Ended): string {
  const stage = messages > 0 ? 'kernel' : opened ? 'namespace' : 'configuration'
  const shown = verb === '' ? 'no verb' : verb
  return code === 0 ? `${stage}: ${shown} done` : `${stage}: ${shown} code ${errorOf(stdout)?.code}`
}
