import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { hostMark, labDirectory, namespaceName, netnsDirectory } from './names.ts'
import { run, until } from './run.ts'

/**
 * Ends a lab: every process in its namespaces, the namespaces and its folder. Goes by names and by
 * what runs, not by notes, so it also clears up after a crash; a lab that is not there is no error.
 * Nothing outside namespaces named `heddle-LAB-...` is touched.
 */
export async function destroyLab(lab: string): Promise<void> {
  await until(`the processes of lab ${lab} to end`, () => killAll(lab), { timeoutMs: 20_000 })
  for (const name of labNamespaces(lab)) await run(['ip', 'netns', 'delete', name])
  rmSync(labDirectory(lab), { recursive: true, force: true })
}

/** The names of the lab's network namespaces that exist on this machine. */
export function labNamespaces(lab: string): string[] {
  const pattern = new RegExp(`^${namespaceName(lab, '(?:switch|h\\d+)')}$`)
  return list(netnsDirectory).filter((name) => pattern.test(name))
}

/** Kills what runs in the lab; true once nothing does. All of it is thrown away: nobody is asked first. */
function killAll(lab: string): boolean {
  const pids = labProcesses(lab)
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself in the meantime.
    }
  }
  return pids.length === 0
}

interface Process {
  readonly pid: number
  readonly network: string | undefined
  readonly mount: string | undefined
}

/** Processes in the network namespaces of switch, hosts and pods, or in the mount namespaces of hosts. */
function labProcesses(lab: string): number[] {
  const names = labNamespaces(lab)
  const processes = list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(describe)
  const networks = new Set(names.flatMap((name) => namespaceAt(`${netnsDirectory}/${name}`)))
  const mounts = new Set<string>()
  for (const { pid, mount } of processes) {
    if (mount === undefined || mounts.has(mount) || !names.includes(hostOf(pid))) continue
    mounts.add(mount)
    const pods = `/proc/${pid}/root${netnsDirectory}`
    for (const pod of list(pods)) for (const id of namespaceAt(`${pods}/${pod}`)) networks.add(id)
  }
  const own = describe('self')
  const isTheirs = (set: Set<string>, id: string | undefined, ours: string | undefined) =>
    id !== undefined && id !== ours && set.has(id)
  return processes
    .filter(
      (p) => isTheirs(networks, p.network, own.network) || isTheirs(mounts, p.mount, own.mount),
    )
    .map(({ pid }) => pid)
}

function describe(process: string): Process {
  const link = (kind: 'net' | 'mnt') => attempt(() => readlinkSync(`/proc/${process}/ns/${kind}`))
  return { pid: Number(process), network: link('net'), mount: link('mnt') }
}

/** The lab host in whose files a process sees, as `host-init` wrote it there; '' for none. */
function hostOf(pid: number): string {
  return attempt(() => readFileSync(`/proc/${pid}/root${hostMark}`, 'utf8').trim()) ?? ''
}

/** The network namespace bound at a path, written as its links in /proc are; nothing if there is none. */
function namespaceAt(path: string): string[] {
  const inode = attempt(() => statSync(path).ino)
  return inode === undefined ? [] : [`net:[${inode}]`]
}

function list(directory: string): string[] {
  return attempt(() => readdirSync(directory)) ?? []
}

/** Processes and namespaces come and go while they are looked at: what cannot be read is not there. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
