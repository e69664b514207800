import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Executables built from upstream's Go sources, or the reason why there are none. */
export type Built = { readonly folder: string } | { readonly missing: string }

const cache = join(tmpdir(), 'heddle-conformance')
const version = '1.9.1'
const module = 'github.com/containernetworking/plugins/plugins'
/** As upstream's own build script, so that the plugins know their version. */
const flags = `-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v${version}`
const plugins: Readonly<Record<string, readonly string[]>> = {
  main: ['bridge', 'loopback', 'macvlan', 'ptp'],
  ipam: ['host-local', 'static'],
  meta: ['bandwidth', 'firewall', 'portmap', 'tuning'],
}

/** The reference plugins of the newest release there is. */
export function latestPlugins(): Built {
  const packages = Object.entries(plugins).flatMap(([kind, names]) =>
    names.map((name) => `${module}/${kind}/${name}@v${version}`),
  )
  return build(`plugins-${version}`, packages)
}

/** libcni 1.3's own command line client, the only one here that speaks 1.1.0. */
export function cnitool(): Built {
  return build('cnitool-1.3.0', ['github.com/containernetworking/cni/cnitool@v1.3.0'])
}

/** Kept between runs. A failure is kept for ten minutes, so that each file need not fail anew. */
function build(name: string, packages: readonly string[]): Built {
  const folder = join(cache, name)
  const failure = `${folder}.failed`
  if (existsSync(folder)) return { folder }
  const go = findGo()
  if (go === undefined) return { missing: 'no Go compiler' }
  if (existsSync(failure) && Date.now() - Number(readFileSync(failure, 'utf8')) < 600_000) {
    return { missing: 'Go could not build it' }
  }
  mkdirSync(cache, { recursive: true })
  const made = mkdtempSync(`${folder}.`)
  try {
    const env = { ...process.env, GOBIN: made, GOFLAGS: '', CGO_ENABLED: '0' }
    execFileSync(go, ['install', '-ldflags', flags, ...packages], {
      env,
      cwd: made,
      stdio: 'pipe',
      timeout: 240_000,
    })
    renameSync(made, folder)
    return { folder }
  } catch {
    rmSync(made, { recursive: true, force: true })
    // Another run may have been quicker.
    if (existsSync(folder)) return { folder }
    writeFileSync(failure, String(Date.now()))
    return { missing: 'Go could not build it' }
  }
}

function findGo(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/go/bin']
  return folders.map((folder) => join(folder, 'go')).find((file) => existsSync(file))
}
