import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { type Host, hostFile, type Lab } from '../../scripts/lab/lab.ts'
import { attemptAt, type Place, runAt, startAt } from '../../scripts/lab/place.ts'
import { type Outcome, run, until } from '../../scripts/lab/run.ts'
import { testWith } from './installed.ts'

/** Where Debian's podman and containerd look for plugins. */
export const pluginFolder = '/usr/lib/cni'

/** An image with nothing but busybox. */
export const image = 'localhost/heddle/busybox:1'

/** For tests that run containers by podman. */
export const testPodman = testWith('podman', 'runc', 'conmon', 'busybox')

/** For tests that run containers by containerd; podman makes their image. */
export const testContainerd = testWith('containerd', 'ctr', 'podman', 'runc', 'busybox')

const installScript = join(import.meta.dirname, '../../scripts/install')

/** Where a host keeps Debian's plugins once `installOn` has covered them. */
export const referenceOn = '/run/lab/reference'

/**
 * Installs heddle on a host as its operator would. Debian's folder becomes the host's own for the
 * test, and holds nothing else but the reference plugins named in `keep`. Once more upgrades in place.
 */
export async function installOn(
  host: Host,
  options: { asFlannel?: boolean; keep?: readonly string[]; folder?: string } = {},
): Promise<void> {
  const { asFlannel = false, keep = [], folder = pluginFolder } = options
  await ownPluginFolder(host, keep)
  const folders = ['--cni-dir', folder, '--bin-dir', folder]
  await runAt(host, [installScript, ...folders, ...(asFlannel ? ['--as-flannel'] : [])])
}

/** Gives a host a plugin folder of its own with just the reference plugins named. */
export async function ownPluginFolder(host: Host, keep: readonly string[]): Promise<void> {
  const isCovered = await attemptAt(host, ['test', '-d', referenceOn])
  if (isCovered.code === 0) return
  await runAt(host, ['mkdir', referenceOn])
  await runAt(host, ['mount', '--bind', pluginFolder, referenceOn])
  await runAt(host, ['mount', '-t', 'tmpfs', 'tmpfs', pluginFolder])
  const files = keep.map((name) => `${referenceOn}/${name}`)
  if (files.length > 0) await runAt(host, ['cp', ...files, pluginFolder])
}

/** Writes a file where the host sees it. */
export function writeOn(host: Host, path: string, content: object | string): void {
  const file = hostFile(host, path)
  mkdirSync(dirname(file), { recursive: true })
  const text = typeof content === 'string' ? content : JSON.stringify(content, undefined, 2)
  writeFileSync(file, text)
}

/** A root file system with nothing but busybox, as a tar file. */
export async function busyboxTar(lab: Lab): Promise<string> {
  const root = join(lab.directory, 'rootfs')
  mkdirSync(join(root, 'bin'), { recursive: true })
  cpSync((await run(['which', 'busybox'])).trim(), join(root, 'bin/busybox'), { dereference: true })
  for (const applet of ['sh', 'ip', 'ping', 'sleep', 'cat'])
    symlinkSync('busybox', join(root, 'bin', applet))
  // What a pod's first process does: nothing, until it is told to end.
  writeFileSync(
    join(root, 'pause'),
    '#!/bin/sh\ntrap "exit 0" TERM INT\nwhile :; do sleep 3600 & wait $!; done\n',
    { mode: 0o755 },
  )
  const tar = join(lab.directory, 'busybox.tar')
  await run(['tar', '-C', root, '-cf', tar, '.'])
  return tar
}

/** Runs podman with CNI, all its files in the host's own directories; throws when it fails. */
export function podman(host: Host, ...args: readonly string[]): Promise<string> {
  return runAt(host, podmanCommand(args), { env: podmanEnvironment(host) })
}

/** As `podman`, whatever comes of it. */
export function attemptPodman(host: Host, ...args: readonly string[]): Promise<Outcome> {
  return attemptAt(host, podmanCommand(args), { env: podmanEnvironment(host) })
}

// crun, podman's choice where it is installed, refuses hosts that have both versions of cgroups.
function podmanCommand(args: readonly string[]): [string, ...string[]] {
  return ['podman', '--network-backend=cni', '--cgroup-manager=cgroupfs', '--runtime=runc', ...args]
}

function podmanEnvironment(host: Host): Record<string, string> {
  const conf = `${host.lab.directory}/containers.conf`
  // No more open files and processes than any machine allows to a container.
  const limits = '["nofile=1024:1024", "nproc=1000:1000"]'
  writeFileSync(
    conf,
    `[network]\ncni_plugin_dirs = ["${pluginFolder}"]\nnetwork_config_dir = "/etc/cni/net.d"\n[containers]\ndefault_ulimits = ${limits}\n`,
  )
  return { CONTAINERS_CONF: conf }
}

/** The network namespace at a path of the host, as a place of the lab. */
export function namespaceAt(host: Host, path: string): Place {
  return { name: `${host.name}:${path}`, enter: [...host.enter, 'nsenter', `--net=${path}`, '--'] }
}

/** What a container or a plugin may leave on a host: its links, firewall rules and files. */
export interface Traces {
  /** `name kind` of every link but the ports of the lab. */
  readonly links: readonly string[]
  /** The host's addresses and routes. */
  readonly routing: readonly string[]
  readonly ruleset: readonly string[]
  /** Reserved addresses, attachment records, cached results and saved configurations. */
  readonly files: readonly string[]
}

/** Looks for all traces at once; two looks are compared with `deepEqual`. */
export async function tracesOn(host: Host): Promise<Traces> {
  const look = async (script: string) => {
    const text = await runAt(host, ['sh', '-c', script])
    return text.split('\n').filter((line) => line !== '')
  }
  const [links, routing] = [await look(linkScript), await look(routingScript)]
  return { links, routing, ruleset: await look(rulesetScript), files: await look(fileScript) }
}

const linkScript = `
ip -json -details link | jq -r '.[] | "\\(.ifname) \\(.linkinfo.info_kind // "-")"' | sort`

// Not what a link-local address's search for duplicates changes, nor what a bridge without ports finds out late.
const routingScript = `
ip -oneline addr | sed -E 's/^[0-9]+: //; s/ (valid|preferred)_lft .*//; s/ tentative//' | sort
{ ip route; ip -6 route; } | sed -E 's/ linkdown//' | sort`

// Counters go on without anybody's doing.
const rulesetScript = `
rules=$(/usr/sbin/nft list ruleset) || exit
echo "$rules" | sed -E 's/counter packets [0-9]+ bytes [0-9]+/counter/'`

// A lock, the place where the next search begins and other notes of the network's stay.
const fileScript = `
cd /var/lib/cni && find networks -type f -regex '.*/[0-9a-f]*[.:][0-9a-f.:_]*' 2>/dev/null
find /var/lib/cni/results /var/lib/cni/flannel /run/heddle/attachments -type f 2>/dev/null
true`

/** containerd, with its Kubernetes part if `cri` says how; answers when this returns. */
export async function startContainerd(
  t: ExecutionContext,
  host: Host,
  cri?: { plugins: string },
): Promise<void> {
  const base = join(host.lab.directory, 'containerd')
  writeFileSync(`${base}.toml`, cri ? criConfig(cri.plugins) : withoutCri)
  const containerd = startAt(host, ['containerd', '--config', `${base}.toml`], {
    logFile: `${base}.log`,
  })
  t.teardown(() => t.passed || t.log(containerd.log()))
  const answers = async () => (await attemptAt(host, ['ctr', 'version'])).code === 0
  await until('containerd to answer', answers, { timeoutMs: 20_000, everyMs: 200 })
}

const quiet = '[debug]\n  level = "warn"\n'
const withoutCri = `version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n${quiet}`

// Without the permission to make processes likelier to live on, containers do not start otherwise.
const criConfig = (plugins: string) => `version = 2
${quiet}[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${plugins}"
    conf_dir = "/etc/cni/net.d"
`

/** Brings the image to containerd, in a namespace of containerd's (`default`, or CRI's `k8s.io`). */
export async function importToContainerd(host: Host, namespace: string): Promise<void> {
  const change = 'ENTRYPOINT ["/pause"]'
  await podman(host, 'import', '--change', change, await busyboxTar(host.lab), image)
  const archive = join(host.lab.directory, 'image.tar')
  await podman(host, 'save', '--format', 'oci-archive', '--output', archive, image)
  await runAt(host, ['ctr', '--namespace', namespace, 'images', 'import', archive])
}
