/**
 * The one executable, hard-linked under the name of each role; the base name of `argv[0]` chooses.
 * A role is imported only when it is asked for: a plugin's start-up is what its user waits for.
 * ADD and DEL are the exception: they are what is called most, and fetching them apart costs them
 * more than their presence costs the others.
 */
import { readFileSync, writeSync } from '#fs'
import { attaching } from './cni/attaching.ts'
import type { Loaders, Role } from './cni/call.ts'
import { runCni } from './cni/main.ts'
import { stderrLogger } from './log/stderr.ts'
import packageJson from './package.json' with { type: 'json' }
import { lockFile } from './sys/flock.ts'
import { openNetlink } from './sys/netlink-socket.ts'
import { currentNetns, inNetns, openNetns } from './sys/netns.ts'

const { version } = packageJson

const io = {
  env: process.env,
  readStdin: () => readFileSync(0, 'utf8'),
  writeStdout: (text: string) => void writeSync(1, text),
  writeStderr: (text: string) => void writeSync(2, text),
}

/** Upstream's lock is waited for this long, then the runtime is told to try again later. */
const lock = (path: string) => lockFile(path, { mode: 0o750, timeoutMs: 20_000 })

/** Code that this run has no use for. */
function absent(): never {
  throw new TypeError('Cannot run what was not loaded')
}

const nothing: Loaders = {
  add: absent,
  del: absent,
  check: absent,
  status: absent,
  loopback: absent,
  firewall: absent,
}

/** The part of the plugin that a command needs; VERSION, and being called by hand, need none. */
async function loadVerbs(role: Role, command = ''): Promise<Loaders> {
  if (command === '' || command === 'VERSION') return nothing
  if (role !== 'loopback' && (command === 'ADD' || command === 'DEL')) {
    return { ...nothing, ...attaching }
  }
  return { ...nothing, ...(await import('./cni/inspecting.ts')).inspecting }
}

const { argv0 } = process
const name = argv0.slice(argv0.lastIndexOf('/') + 1)

switch (name) {
  case 'heddle':
  case 'flannel':
  case 'bridge':
  case 'loopback': {
    const load = await loadVerbs(name, io.env['CNI_COMMAND'])
    const log = stderrLogger({ level: 'info', format: 'text' })
    const sleep = (milliseconds: number) => Bun.sleepSync(milliseconds)
    const deps = { openNetlink, openNetns, currentNetns, inNetns, lock, sleep, load, log, version }
    process.exitCode = runCni(name, io, deps)
    break
  }
  case 'heddle-ipam':
  case 'host-local': {
    const { runIpam } = await import('./ipam/main.ts')
    const log = stderrLogger({ level: 'info', format: 'text' })
    process.exitCode = runIpam(io, { lock, log, version })
    break
  }
  case 'heddled':
  case 'flanneld': {
    const { runDaemon } = await import('./daemon/main.ts')
    const { sdNotify } = await import('./sys/sd-notify.ts')
    const { compileHotCode } = await import('./sys/jit.ts')
    compileHotCode()
    const deps = { version, program: name, openNetlink, lockFile, sdNotify }
    // A thread still waits for kernel events; nothing else is left to be done.
    process.exit(await runDaemon(process.argv.slice(2), process.env, deps))
  }
  case 'heddlectl': {
    const { runCtl } = await import('./ctl/main.ts')
    process.exitCode = await runCtl(process.argv.slice(2), { version })
    break
  }
  default:
    io.writeStderr(
      `heddle ${version}: "${name}" names no role; call it heddle, heddle-ipam, heddled, heddlectl, ` +
        `loopback, or by a drop-in name (scripts/install --as-flannel)\n`,
    )
    process.exitCode = 2
}
