/** Shows containers on several hosts reaching each other. See `scripts/demo --help`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { lookAround, type Report, renderFailure, renderJson, renderTables } from './demo-report.ts'
import { attach, type Container, readLease, startDaemon, waitForPeers } from './lab/heddle.ts'
import { createHosts, type Host, type Lab } from './lab/lab.ts'
import { losses, pingAll } from './lab/mesh.ts'
import { labDirectory } from './lab/names.ts'
import { mapLimit } from './lab/run.ts'
import { networkConfig, openStore, type StoreKind, storeKinds } from './lab/store.ts'
import { destroyLab, labNamespaces } from './lab/teardown.ts'

const backends = ['vxlan', 'host-gw'] as const

interface Options {
  readonly name: string
  readonly hosts: number
  readonly store: StoreKind
  readonly backend: (typeof backends)[number]
  readonly ipv6: boolean
  readonly json: boolean
  readonly keep: boolean
  readonly down: boolean
}

function parseOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      name: { type: 'string', default: 'demo' },
      hosts: { type: 'string', default: '3' },
      store: { type: 'string', default: 'sqlite' },
      backend: { type: 'string', default: 'vxlan' },
      ipv6: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      down: { type: 'boolean', default: false },
    },
  })
  const hosts = Number(values.hosts)
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > 50) {
    throw new RangeError(`--hosts must be 1 to 50, not "${values.hosts}"`)
  }
  return {
    ...values,
    hosts,
    store: oneOf('--store', storeKinds, values.store),
    backend: oneOf('--backend', backends, values.backend),
  }
}

function oneOf<T extends string>(flag: string, allowed: readonly T[], value: string): T {
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined)
    throw new RangeError(`${flag} must be ${allowed.join(' or ')}, not "${value}"`)
  return found
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Removes what an earlier demo left; throws if one of this name is still at work. */
async function clearAway(name: string): Promise<void> {
  if (labNamespaces(name).length === 0) return
  const owner = readOwner(name)
  if (owner !== undefined && isAlive(owner))
    throw new Error(`Demo ${name} is running, process ${owner}`)
  say('taking down an earlier demo')
  await destroyLab(name)
}

function readOwner(name: string): number | undefined {
  try {
    return Number(readFileSync(ownerFile(name), 'utf8'))
  } catch {
    return undefined
  }
}

function ownerFile(name: string): string {
  return `${labDirectory(name)}/owner`
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Starts everything and pings; the lab stays for the caller to destroy. */
async function demonstrate(lab: Lab, hosts: readonly Host[], options: Options): Promise<Report> {
  const config = networkConfig({ Type: options.backend }, { ipv6: options.ipv6 })
  say(`starting the store (${options.store}) and heddled on ${hosts.length} hosts`)
  const store = await openStore(lab, options.store, config)
  await mapLimit(hosts, 8, (host) => startDaemon(host, store, ['--iface', 'eth0', '--ip-masq']))
  say('attaching two containers a host')
  const containers = (await mapLimit(hosts, 4, attachTwo)).flat()
  await mapLimit(hosts, 8, (host) => waitForPeers(host, hosts.length - 1))
  say('pinging from every container to every other one')
  const pings = await pingAll(containers)
  return {
    title: `${hosts.length} hosts, ${store.kind} store, ${options.backend} backend`,
    hosts: hosts.map((host) => ({ host, lease: readLease(host), backend: options.backend })),
    containers,
    pings,
    ok: losses(pings).length === 0,
  }
}

async function attachTwo(host: Host): Promise<Container[]> {
  return [await attach(host, 'a'), await attach(host, 'b')]
}

async function main(options: Options): Promise<number> {
  if (options.down) {
    await destroyLab(options.name)
    say(`demo ${options.name} is gone`)
    return 0
  }
  await clearAway(options.name)
  destroyOnSignal(options.name)
  const [lab, hosts] = await createHosts(options.name, options.hosts)
  let kept = false
  try {
    writeFileSync(ownerFile(options.name), String(process.pid))
    const report = await demonstrate(lab, hosts, options)
    process.stdout.write(options.json ? renderJson(report) : renderTables(report))
    for (const line of losses(report.pings)) say(line)
    kept = options.keep
    if (kept) say(lookAround(report, options.name))
    return report.ok ? 0 : 1
  } finally {
    if (!kept) await destroyLab(options.name)
  }
}

function readOptions(): Options | undefined {
  try {
    return parseOptions(process.argv.slice(2))
  } catch (error) {
    say(`scripts/demo: ${(error as Error).message}; see scripts/demo --help`)
    return undefined
  }
}

/** Ctrl-C must not leave namespaces behind: nobody would know what they are. */
function destroyOnSignal(name: string): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void destroyLab(name).finally(() => process.exit(1))
    })
  }
}

const options = readOptions()
if (options === undefined) {
  process.exitCode = 2
} else {
  try {
    process.exitCode = await main(options)
  } catch (error) {
    say(`scripts/demo: ${(error as Error).message}`)
    if (options.json) process.stdout.write(renderFailure(error as Error))
    process.exitCode = 1
  }
}
