import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { parseNetConf } from '../../conf/net-conf.ts'
import { type Allocation, allocate } from '../../ipam/allocate.ts'
import { check } from '../../ipam/check.ts'
import type { IpamDeps } from '../../ipam/folder.ts'
import { collect } from '../../ipam/gc.ts'
import { type IpamPlan, planIpam } from '../../ipam/plan.ts'
import { release } from '../../ipam/release.ts'
import { stage } from '../../ipam/stage.ts'
import { silent } from '../../log/logger.ts'

/** One network in a folder of its own, under a lock that only knows this process, on a machine that can be restarted. */
export class Net {
  readonly #place = mkdtempSync(join(tmpdir(), 'heddle-ipam-'))
  readonly dataDir = join(this.#place, 'networks')
  readonly folder = join(this.dataDir, 'net')
  readonly sidecar = join(this.dataDir, '.heddle', 'net')
  readonly staging = join(this.sidecar, 'new')
  readonly bootIdPath = join(this.#place, 'boot_id')
  readonly warnings: string[] = []
  readonly infos: string[] = []
  readonly #ipam: object
  #boots = 0
  #held = false
  /** Runs when the lock has been taken, once. */
  whenLocked: (() => void) | undefined

  constructor(t: ExecutionContext, ipam: object) {
    this.#ipam = ipam
    this.reboot()
    t.teardown(() => this.remove())
  }

  remove(): void {
    rmSync(this.#place, { recursive: true, force: true })
  }

  readonly deps: IpamDeps = {
    log: {
      ...silent,
      warn: (message) => this.warnings.push(message),
      info: (message) => this.infos.push(message),
    },
    bootIdPath: this.bootIdPath,
    lock: (path) => {
      if (this.#held) throw new Error('the lock is taken twice')
      if (!existsSync(path)) writeFileSync(path, '')
      this.#held = true
      const then = this.whenLocked
      this.whenLocked = undefined
      then?.()
      return {
        [Symbol.dispose]: () => {
          this.#held = false
        },
      }
    },
  }

  reboot(): void {
    writeFileSync(
      this.bootIdPath,
      `00000000-0000-4000-8000-${String(this.#boots++).padStart(12, '0')}\n`,
    )
  }

  plan(ips: readonly string[] = [], ipam: object = this.#ipam): IpamPlan {
    const conf = { cniVersion: '1.0.0', name: 'net', runtimeConfig: { ips } }
    const text = JSON.stringify({ ...conf, ipam: { ...ipam, dataDir: this.dataDir } })
    return planIpam(parseNetConf(text), new Map())
  }

  add(containerId: string, ...ips: string[]): Allocation {
    return allocate(this.plan(ips), { containerId, ifname: 'eth0' }, this.deps)
  }

  addresses(containerId: string, ...ips: string[]): string[] {
    return this.add(containerId, ...ips).ips.map(({ address }) => address)
  }

  del(containerId: string, ifname = 'eth0'): void {
    release(this.plan(), { containerId, ifname }, this.deps)
  }

  check(containerId: string, ifname = 'eth0'): void {
    check(this.plan(), { containerId, ifname }, this.deps)
  }

  /** Collects all but these containers' eth0. */
  collect(...containerIds: string[]): number {
    const keep = containerIds.map((containerId) => ({ containerId, ifname: 'eth0' }))
    return collect(this.plan(), keep, this.deps)
  }

  /** The address files, and what they hold. */
  files(): Record<string, string> {
    const all = existsSync(this.folder) ? readdirSync(this.folder) : []
    const names = all.filter((name) => /^[\da-f.:]+$/.test(name))
    return Object.fromEntries(names.toSorted().map((name) => [name, this.read(name)]))
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }

  /** Makes or replaces a file as another program would. */
  write(name: string, content: string): void {
    mkdirSync(this.folder, { recursive: true })
    rmSync(join(this.folder, name), { force: true })
    writeFileSync(join(this.folder, name), content)
  }

  unlink(name: string): void {
    unlinkSync(join(this.folder, name))
  }

  /** Does what an ADD that is killed right after it reserved an address has done. */
  killedAdd(containerId: string, address: string): void {
    const staged = this.killedBeforeLock(containerId)
    linkSync(staged, join(this.folder, address))
  }

  /** Does what an ADD that is killed while it waits for the lock has done; where it wrote. */
  killedBeforeLock(containerId: string): string {
    mkdirSync(this.staging, { recursive: true })
    mkdirSync(this.folder, { recursive: true })
    return stage(this.plan(), { containerId, ifname: 'eth0' }).path
  }

  /** The pins, without the folders they are spread over. */
  pins(): string[] {
    const held = join(this.sidecar, 'held')
    const buckets = existsSync(held) ? readdirSync(held) : []
    return buckets.flatMap((bucket) => readdirSync(join(held, bucket))).toSorted()
  }

  /** Whether the pins would be believed now. */
  isIndexed(): boolean {
    const [, , stamp] = readlinkSync(join(this.sidecar, 'state')).split(' ')
    return statSync(this.folder).mtimeMs === Number(stamp) * 1000
  }
}
