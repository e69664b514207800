import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { type Background, startAt } from '../../scripts/lab/place.ts'
import { attempt, until } from '../../scripts/lab/run.ts'
import { goProgram } from './runtimes-go.ts'

const version = 'v0.26.1'
const buildConstraint = /^\/\/( \+build|go:build) .*$/gm

/**
 * Stands in for its Kubernetes client, which is most of what there is to compile and nothing that
 * etcd needs.
 */
const noKubernetes = `package kube

import (
	"context"
	"errors"

	"github.com/flannel-io/flannel/pkg/subnet"
)

func NewSubnetManager(context.Context, string, string, string, string, bool) (subnet.Manager, error) {
	return nil, errors.New("built without Kubernetes")
}
`

/**
 * Builds the real flanneld from what its authors published, without C: its udp backend is then the
 * one it has on processors other than amd64. The program, which goes with this process, or the
 * reason why there is none.
 */
export async function buildFlanneld(): Promise<{ program: string } | { reason: string }> {
  const go = goProgram()
  if (go === undefined) return { reason: 'there is no Go here' }
  const lacking = await whatFlanneldLacks()
  if (lacking !== undefined) return { reason: lacking }
  const module = `github.com/flannel-io/flannel@${version}`
  const tree = mkdtempSync(join(tmpdir(), 'heddle-flanneld-'))
  process.on('exit', () => rmSync(tree, { recursive: true, force: true }))
  const env = { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' }
  const download = [go, '-C', tree, 'mod', 'download', '-json', module] as const
  // Both together end before ava takes this file for dead.
  const { code, stdout, stderr } = await attempt(download, { env, timeoutMs: 60_000 })
  if (code !== 0) {
    const [, said] = /"Error": "(.*)"/.exec(stdout) ?? []
    return { reason: `${module} cannot be had: ${said ?? `exit ${code} ${lastLine(stderr)}`}` }
  }
  const { Dir: source } = JSON.parse(stdout) as { Dir: string }
  cpSync(source, tree, { recursive: true })
  changeSources(tree)
  const program = join(tree, 'flanneld')
  const build = [go, '-C', tree, 'build', '-o', program, '.'] as const
  const built = await attempt(build, { env, timeoutMs: 220_000 })
  return built.code === 0
    ? { program }
    : { reason: `go build of ${module} failed: exit ${built.code} ${lastLine(built.stderr)}` }
}

/** Without these it ends as soon as it is started, or writes rules that nftables cannot see. */
async function whatFlanneldLacks(): Promise<string | undefined> {
  if (!existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables')) {
    return 'flanneld wants br_netfilter, which this kernel has not loaded'
  }
  const { stdout } = await attempt(['sh', '-c', 'iptables --version'])
  return stdout.includes('nf_tables')
    ? undefined
    : 'iptables of the nf_tables kind is not installed'
}

function changeSources(tree: string): void {
  const udp = join(tree, 'pkg/backend/udp')
  for (const name of readdirSync(udp)) {
    const file = join(udp, name)
    const text = readFileSync(file, 'utf8')
    rmSync(file)
    if (!name.includes('_amd64.')) writeFileSync(file, text.replaceAll(buildConstraint, ''))
  }
  const kube = join(tree, 'pkg/subnet/kube')
  rmSync(kube, { recursive: true })
  mkdirSync(kube)
  writeFileSync(join(kube, 'kube.go'), noKubernetes)
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}

let starts = 0

/**
 * Starts flanneld on a host and waits until it has a lease and follows the others'. After SIGTERM
 * this version either takes its firewall rules away or panics before it comes to that; SIGKILL
 * leaves them, as older versions did.
 */
export async function startFlanneld(
  program: string,
  host: Host,
  flags: readonly string[],
): Promise<Background> {
  const logFile = `${host.lab.directory}/${host.name}/flanneld-${++starts}.log`
  const daemon = startAt(host, [program, ...flags], { logFile })
  const isReady = () => daemon.log().includes('watching subnets starting') || !daemon.running()
  try {
    await until('its lease', isReady, { timeoutMs: 30_000 })
    if (!daemon.running()) throw new Error(`it ended: ${await daemon.ended}`)
    if (!existsSync(hostFile(host, subnetFile))) throw new Error('it wrote no subnet file')
  } catch (error) {
    throw new Error(`flanneld on ${host.name}:\n${daemon.log().trim()}`, { cause: error })
  }
  return daemon
}
