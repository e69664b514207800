import { existsSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import type { DaemonStatus } from '../../conf/daemon-status.ts'
import { dist, subnetFile } from '../../scripts/lab/heddle.ts'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { attemptAt } from '../../scripts/lab/place.ts'
import { readExposition } from '../unit/exposition.ts'

/** What `heddlectl status` says of a host's daemon. */
export async function statusOf(host: Host): Promise<DaemonStatus> {
  const command = [join(dist, 'heddlectl'), 'status', '--format', 'json'] as const
  const { stdout, stderr } = await attemptAt(host, command)
  // Its exit code is another one when something is wrong.
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as DaemonStatus
}

/** The status file beside a host's subnet file; empty while there is none. */
export function statusFile(host: Host): { readonly ready?: boolean; readonly error?: string } {
  const path = hostFile(host, `${subnetFile}.status.json`)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
}

/** The metrics of a host's daemon, from its socket, whose file is seen from outside too. */
export async function metricsOf(host: Host): Promise<ReturnType<typeof readExposition>> {
  const socketPath = hostFile(host, '/run/heddle/default.sock')
  const text = await new Promise<string>((resolve, reject) => {
    const asked = get({ socketPath, path: '/metrics', agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve(body))
    })
    asked.on('error', reject)
  })
  return readExposition(text)
}
