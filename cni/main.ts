import {
  type Call,
  type CniDeps,
  type CniIo,
  type LoaderName,
  NotLoaded,
  type Role,
} from './call.ts'
import type { Command } from './protocol/env.ts'
import { type Request, runPlugin } from './protocol/run.ts'
import { readVersion } from './protocol/versions.ts'
import { procSysctl } from './sysctl.ts'
import { isChained } from './target/wanted-features.ts'

/** What the executable hands in; kernel settings are the real ones unless a test says otherwise. */
export type CniEdges = Omit<CniDeps, 'sysctl'> & Partial<Pick<CniDeps, 'sysctl'>>

/**
 * Runs the network plugin: one verb, read from the environment and standard input, answered on
 * standard output. Returns the exit code; or, with nothing done, the code that it lacks and wants
 * to be run again with. Whatever goes wrong is answered as the spec's error.
 */
export function runCni(role: Role, io: CniIo, edges: CniEdges): 0 | 1 | LoaderName {
  const deps = { sysctl: procSysctl, ...edges }
  const { version, log } = deps
  let lacking: LoaderName | undefined
  const run = (request: Request) => {
    try {
      runVerb(callOf(request, { role, io, deps }))
    } catch (error) {
      if (!(error instanceof NotLoaded)) throw error
      lacking = error.loader
    }
  }
  const code = runPlugin({ name: role, version, log, run }, io)
  return lacking ?? code
}

interface Setting {
  readonly role: Role
  readonly io: CniIo
  readonly deps: CniDeps
}

function callOf(request: Request, { role, io, deps }: Setting): Call {
  const version = readVersion(request.conf.cniVersion)
  const print = (text: string) => io.writeStdout(text)
  return { ...request, version, env: io.env, role, deps, print }
}

function runVerb(call: Call): void {
  verbsOf(call)[call.invocation.command](call)
}

type Verb = (call: Call) => void

function verbsOf(call: Call): Readonly<Record<Command, Verb>> {
  if (call.role === 'loopback') return loopbackVerbs
  return isChained(call) ? chainedVerbs : networkVerbs
}

const networkVerbs: Readonly<Record<Command, Verb>> = {
  ADD: (call) => call.deps.load.add().add(call),
  DEL: (call) => call.deps.load.del().del(call),
  CHECK: (call) => call.deps.load.check().check(call),
  GC: (call) => call.deps.load.gc().collectGarbage(call),
  STATUS: (call) => call.deps.load.status().status(call),
}

const chainedVerbs: Readonly<Record<Command, Verb>> = {
  ADD: (call) => call.deps.load.chained().addChained(call),
  DEL: (call) => call.deps.load.chained().deleteChained(call),
  CHECK: (call) => call.deps.load.chained().checkChained(call),
  GC: (call) => call.deps.load.gc().collectGarbage(call),
  STATUS: (call) => call.deps.load.chained().chainedStatus(call),
}

const loopbackVerbs: Readonly<Record<Command, Verb>> = {
  ADD: (call) => call.deps.load.loopback().addLoopback(call),
  DEL: (call) => call.deps.load.loopback().deleteLoopback(call),
  CHECK: (call) => call.deps.load.loopback().checkLoopback(call),
  GC() {},
  STATUS() {},
}
