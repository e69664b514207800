/**
 * Runs the plugins in process, against the model kernel and a folder of files. To be imported after
 * `use-rooted-fs.ts`.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import type { CniDeps, Loaders, Role } from '../../cni/call.ts'
import { runCni } from '../../cni/main.ts'
import { runIpam } from '../../ipam/main.ts'
import type { Fields, Logger } from '../../log/logger.ts'
import type { Netns } from '../../sys/netns.ts'
import { type FuzzRole, neighbour, subnetFile, subnetText } from './base-confs.ts'
import { fakeSpawnSync } from './fake-plugins.ts'
import { atOnce, everything } from './loaders.ts'
import { type Kernel, kernelLines, newKernel, openSocket } from './model-kernel.ts'
import type { ModelLink, ModelNetns } from './model-netns.ts'
import * as fs from './rooted-fs.ts'

/** A host to run plugins on. */
export interface World {
  readonly kernel: Kernel
  readonly settings: Map<string, string>
  /** The namespace that the thread is in. */
  current: ModelNetns
  /** Whether the last run asked for a namespace. */
  opened: boolean
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** Messages to the kernel. */
  readonly messages: number
  readonly opened: boolean
}

const files: Readonly<Record<string, string>> = {
  [subnetFile]: subnetText,
  '/proc/sys/kernel/hostname': 'model\n',
  '/proc/sys/kernel/random/boot_id': 'd8f4c1a2-0000-4000-8000-000000000001\n',
  '/proc/uptime': '1000.00 2000.00\n',
  '/etc/resolv.conf': 'nameserver 10.88.0.1\n',
  '/opt/cni/bin/fake-ipam': '',
  '/opt/cni/bin/nope.txt': '',
  '/opt/cni/bin/bridge': '',
  '/opt/cni/bin/flannel': '',
}

/** What every case begins with. */
interface Origin {
  readonly kernel: Kernel
  readonly settings: ReadonlyMap<string, string>
  readonly files: ReadonlySet<string>
  readonly folders: ReadonlySet<string>
}

let origin: Origin | undefined

/** A host with an uplink, files as they are on one, and a container that is attached elsewhere. */
export function newWorld(): World {
  if (!origin || !restoreFiles(origin)) origin = makeOrigin()
  const kernel = structuredClone(origin.kernel)
  return { kernel, settings: new Map(origin.settings), current: kernel.host, opened: false }
}

/** Removes what has come to the files; false if something went or changed. */
function restoreFiles(to: Origin): boolean {
  const { lines, folders } = listFiles()
  const added = lines.filter((line) => !to.files.has(line))
  if (lines.length - added.length !== to.files.size) return false
  for (const line of added) {
    const [, path] = /^file (.*?) "/s.exec(line) ?? []
    if (path !== undefined) fs.remove(path)
  }
  for (const folder of folders) if (!to.folders.has(folder)) fs.remove(folder)
  return true
}

function makeOrigin(): Origin {
  fs.failFileCall(0, '')
  fs.clearFiles()
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(fs.rooted(`${path}/..`), { recursive: true })
    writeFileSync(fs.rooted(path), text)
  }
  const kernel = newKernel()
  addEthernet(kernel.host, 'eth0')
  const world = { kernel, settings: new Map(), current: kernel.host, opened: false }
  const { role, conf } = neighbour
  const env = { ...environmentOf('n1'), CNI_COMMAND: 'ADD' }
  const { code, stdout } = runOn(world, role, env, Buffer.from(JSON.stringify(conf)))
  if (code !== 0) throw new Error(`the neighbour cannot be attached: ${stdout}`)
  return {
    kernel,
    settings: world.settings,
    files: new Set(listFiles().lines),
    folders: new Set(listFiles().folders),
  }
}

function addEthernet(netns: ModelNetns, name: string, kind?: string): ModelLink {
  const index = netns.nextIndex++
  const mac = `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`
  const info = kind ? { kind } : {}
  const link = { index, name, mac, mtu: 1500, netns, up: true, promiscuous: false, info }
  netns.links.set(index, link)
  return link
}

/** Gives the container an interface as an earlier plugin of a chain would. */
export function addChainedLink({ kernel: { host, container } }: World): void {
  const bridge = addEthernet(host, 'br9', 'bridge')
  const near = addEthernet(host, 'veth9', 'veth')
  const far = addEthernet(container, 'eth0', 'veth')
  Object.assign(near, { peer: far, master: bridge.index })
  Object.assign(far, { peer: near, mac: '02:00:00:00:00:0b' })
}

/** What a runtime sets for a container, but for the verb. */
export function environmentOf(name: string): Record<string, string> {
  return {
    CNI_CONTAINERID: name,
    CNI_NETNS: `/run/netns/${name}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
  }
}

const namespaces: Readonly<Record<string, 'container' | 'neighbour' | 'host'>> = {
  '/run/netns/c1': 'container',
  '/run/netns/n1': 'neighbour',
  '/proc/self/ns/net': 'host',
}

function openNetns(world: World, path: string): Netns {
  world.opened = true
  const which = Object.hasOwn(namespaces, path) ? namespaces[path] : undefined
  if (!which) {
    const text = `failed to open netns "${path}": failed to Statfs "${path}": no such file or directory`
    throw Object.assign(new Error(text), { name: 'NetnsError', path, gone: true })
  }
  return netnsOf(world.kernel[which], path)
}

function netnsOf({ fd }: ModelNetns, path: string): Netns {
  return { fd, path, device: 4, inode: fd, [Symbol.dispose]() {} }
}

function depsOf(world: World, log: (text: string) => void): CniDeps {
  const { kernel, settings } = world
  const setting = (key: string) => `${world.current.name} ${key}`
  return {
    openNetlink: (protocol) => openSocket(kernel, world.current, protocol),
    openNetns: (path) => openNetns(world, path),
    currentNetns: () => netnsOf(world.current, '/proc/thread-self/ns/net'),
    inNetns(netns, body) {
      const home = world.current
      const { host, container, neighbour } = kernel
      world.current = [container, neighbour].find(({ fd }) => fd === netns.fd) ?? host
      try {
        return body()
      } finally {
        world.current = home
      }
    },
    lock,
    sleep() {},
    sysctl: {
      read: (key) => settings.get(setting(key)) ?? '0',
      write: (key, value) => void settings.set(setting(key), value),
    },
    load: atOnce,
    sha512Hex: (text) => createHash('sha512').update(text).digest('hex'),
    log: loggerTo(log),
    version: '1.2.3',
  }
}

function loggerTo(write: (text: string) => void): Logger {
  const say = (message: string, fields: Fields = {}) => {
    write(`${message}\n${Object.values(fields).join('\n')}`)
  }
  return { debug: say, info: say, warn: say, error: say }
}

/** Nobody else is there who could hold it; but the folder may not be. */
function lock(path: string): Disposable {
  const { O_RDONLY, O_CREAT } = constants
  closeSync(openSync(fs.rooted(path), O_RDONLY | O_CREAT, 0o750))
  return { [Symbol.dispose]() {} }
}

/** Runs a plugin once. */
export function runOn(
  world: World,
  role: FuzzRole,
  env: Readonly<Record<string, string>>,
  stdin: Uint8Array,
): Ended {
  let stdout = ''
  let stderr = ''
  const io = {
    env,
    readStdin: () => new TextDecoder().decode(stdin),
    writeStdout: (text: string) => void (stdout += text),
    writeStderr: (text: string) => void (stderr += text),
  }
  const { kernel } = world
  const before = kernel.messages
  world.opened = false
  const code = withFakePlugins(() => start(world, role, io))
  return { code, stdout, stderr, messages: kernel.messages - before, opened: world.opened }
}

/**
 * As heddle.ts: code that is missing is loaded, and the run begins again. Nothing may have changed
 * by then.
 */
function start(world: World, role: FuzzRole, io: Parameters<typeof runCni>[1]): number {
  const deps = depsOf(world, (text) => io.writeStderr(text))
  if (role === 'heddle-ipam') return runIpam(io, { ...deps, name: role, isOwnNetns: () => false })
  let load: Loaders = atOnce
  for (;;) {
    const before = `${fs.filesVersion()} ${kernelLines(world.kernel).join()}`
    const end = runCni(role satisfies Role, io, { ...deps, load })
    if (typeof end === 'number') return end
    if (before !== `${fs.filesVersion()} ${kernelLines(world.kernel).join()}`) {
      throw new Error(`the code of ${end} was asked for after the first effect`)
    }
    load = { ...load, [end]: everything[end] }
  }
}

/** Delegates are not run as processes. */
function withFakePlugins<T>(body: () => T): T {
  const real = process.getBuiltinModule.bind(process)
  const fake = (id: string) =>
    id === 'node:child_process' ? { spawnSync: fakeSpawnSync } : real(id)
  process.getBuiltinModule = fake
  try {
    return body()
  } finally {
    process.getBuiltinModule = real
  }
}

/** All there is, one line an object. */
export function worldLines({ kernel }: World): string[] {
  return [...kernelLines(kernel), ...listFiles().lines]
}

/** The files as lines, and the folders, as they were when the version was this. */
interface Listing {
  readonly version: number
  readonly lines: readonly string[]
  readonly folders: readonly string[]
}

let known: Listing | undefined

function listFiles(): Listing {
  const version = fs.filesVersion()
  if (known?.version === version) return known
  const folders: string[] = []
  return (known = { version, lines: linesBelow('', folders), folders })
}

function linesBelow(folder: string, folders: string[]): string[] {
  return readdirSync(`${fs.root}${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) {
      folders.push(path)
      return linesBelow(path, folders)
    }
    const real = `${fs.root}${path}`
    const text = entry.isSymbolicLink() ? readlinkSync(real) : readFileSync(real, 'utf8')
    return `file ${path} ${JSON.stringify(text)}`
  })
}
