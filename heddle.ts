/**
 * The one executable, hard-linked under the name of each role; the base name of `argv[0]` chooses.
 * A role is imported only when it is asked for: a plugin's start-up is what its user waits for.
 * ADD and DEL are the exception: they are what is called most, and fetching them apart costs them
 * more than their presence costs the others.
 */
import { readFileSync, writeSync } from '#fs'
import { type LoaderName, type Loaders, type Role, unloaded } from './cni/call.ts'
import { runCni } from './cni/main.ts'
import { attaching } from './cni/parts/attaching.ts'
import { stderrLogger } from './log/stderr.ts'
import packageJson from './package.json' with { type: 'json' }
import { lockFile } from './sys/flock.ts'
import { openNetlink } from './sys/netlink-socket.ts'
import { currentNetns, inNetns, openNetns } from './sys/netns.ts'

const { version } = packageJson

let stdin: string | undefined

const io = {
  env: process.env,
  readStdin: () => (stdin ??= readFileSync(0, 'utf8')),
  writeStdout: (text: string) => void writeSync(1, text),
  writeStderr: (text: string) => void writeSync(2, text),
}

/** Upstream's lock is waited for this long, then the runtime is told to try again later. */
const lock = (path: string) => lockFile(path, { mode: 0o750, timeoutMs: 20_000 })

const inspecting = async () => (await import('./cni/parts/inspecting.ts')).inspecting
const featuring = async () => (await import('./cni/parts/featuring.ts')).featuring
const collecting = async () => (await import('./cni/parts/collecting.ts')).collecting
const branching = async () => (await import('./cni/parts/branching.ts')).branching
const readying = async () => (await import('./cni/parts/readying.ts')).readying
const cleaning = async () => (await import('./cni/parts/cleaning.ts')).cleaning

/** Where the code is that a plain ADD or DEL does without. */
const parts: Readonly<Record<LoaderName, () => Promise<Partial<Loaders>>>> = {
  check: inspecting,
  status: inspecting,
  loopback: inspecting,
  chained: featuring,
  features: featuring,
  gc: collecting,
  otherwise: branching,
  preparing: readying,
  cleaning,
}

/** Runs the network plugin, again each time it lacks code: it says so before it does anything. */
async function runPlugin(role: Role): Promise<number> {
  const log = stderrLogger({ level: 'info', format: 'text' })
  const sleep = (milliseconds: number) => Bun.sleepSync(milliseconds)
  const sha512Hex = (text: string) => new Bun.CryptoHasher('sha512').update(text).digest('hex')
  const kernel = { openNetlink, openNetns, currentNetns, inNetns }
  const deps = { ...kernel, lock, sleep, sha512Hex, log, version }
  let load: Loaders = { ...unloaded, ...attaching }
  for (;;) {
    const end = runCni(role, io, { ...deps, load })
    if (typeof end === 'number') return end
    load = { ...load, ...(await parts[end]()) }
  }
}

/** False for what is no namespace: an address can be reserved without one. */
function isOwnNetns(path: string): boolean {
  try {
    using netns = openNetns(path)
    using own = currentNetns()
    return netns.device === own.device && netns.inode === own.inode
  } catch {
    return false
  }
}

const { argv0 } = process
const name = argv0.slice(argv0.lastIndexOf('/') + 1)

switch (name) {
  case 'heddle':
  case 'flannel':
  case 'bridge':
  case 'loopback':
  case 'portmap':
  case 'bandwidth': {
    process.exitCode = await runPlugin(name)
    break
  }
  case 'heddle-ipam':
  case 'host-local': {
    const { runIpam } = await import('./ipam/main.ts')
    const log = stderrLogger({ level: 'info', format: 'text' })
    process.exitCode = runIpam(io, { lock, log, name, version, isOwnNetns })
    break
  }
  case 'heddled':
  case 'flanneld': {
    const { runDaemon } = await import('./daemon/main.ts')
    const { followNetlink } = await import('./sys/netlink-events.ts')
    const { sdNotify } = await import('./sys/sd-notify.ts')
    const { compileHotCode } = await import('./sys/jit.ts')
    const { relieve } = await import('./sys/heap.ts')
    compileHotCode()
    const system = { openNetlink, followNetlink, lockFile, sdNotify, relieve }
    const deps = { version, program: name, ...system }
    // A thread may still wait for a file or a name; nothing else is left to be done.
    process.exit(await runDaemon(process.argv.slice(2), process.env, deps))
  }
  case 'heddlectl': {
    const { runCtl } = await import('./ctl/main.ts')
    const checkConfig = async (text: string, name: string) => {
      const { checkWritten } = await import('./daemon/config/check-config.ts')
      return checkWritten(text, name)
    }
    process.exitCode = await runCtl(process.argv.slice(2), { version, checkConfig })
    break
  }
  default:
    io.writeStderr(
      `heddle ${version}: "${name}" names no role; call it heddle, heddle-ipam, heddled, heddlectl, ` +
        `loopback, or by a drop-in name (scripts/install --as-flannel)\n`,
    )
    process.exitCode = 2
}
