/** What other plugins answer, for runs in process: as good or as bad as their configuration says. */
import type { SpawnSyncReturns } from 'node:child_process'

const good = {
  cniVersion: '1.0.0',
  ips: [{ address: '10.88.0.60/24', gateway: '10.88.0.1' }],
  routes: [{ dst: '0.0.0.0/0' }],
}

/** In the place of `child_process.spawnSync`. */
export function fakeSpawnSync(
  program: string,
  _args: readonly string[],
  { env = {} }: { readonly env?: Readonly<Record<string, string>> },
): SpawnSyncReturns<string> {
  if (/\/(bridge|flannel)$/.test(program)) throw new Error('the plugin runs itself')
  const isAdd = env['CNI_COMMAND'] === 'ADD'
  const stdout = isAdd ? `${JSON.stringify(good)}\n` : ''
  const status = program.endsWith('/fake-ipam') ? 0 : 1
  const output = status === 0 ? stdout : 'fake: no such thing'
  return { pid: 1, output: [null, output, ''], stdout: output, stderr: '', status, signal: null }
}
