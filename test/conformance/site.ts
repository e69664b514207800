import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TestFn } from 'ava'
import { dist } from '../../scripts/lab/heddle.ts'
import { createHosts, type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { destroyLab } from '../../scripts/lab/teardown.ts'
import { ourFolder, ourNames } from './subjects.ts'

/** A host shared by all tests of a file: cases are told apart by the numbers in their names. */
export function useHost(test: TestFn, name: string): () => Host {
  let host: Host | undefined
  const lab = `conf-${name}-${process.pid}`
  test.before('a host to call plugins on', async () => {
    const [, [made]] = await createHosts(lab, 1)
    if (!made) throw new Error('The lab has no host')
    // Link-local addresses are there at once, so that two dumps can be compared.
    await runAt(made, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'])
    mkdirSync(hostFile(made, ourFolder), { recursive: true })
    for (const plugin of ourNames) {
      symlinkSync(join(dist, 'heddle'), hostFile(made, join(ourFolder, plugin)))
    }
    host = made
  })
  test.after.always('the host is gone', () => destroyLab(lab))
  return () => {
    if (!host) throw new Error('The host is made before the first test')
    return host
  }
}
