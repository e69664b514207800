import { delimiter } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { testWith } from './installed.ts'
import {
  addChain,
  chainOf,
  debian,
  delChain,
  difference,
  installOurs,
  ours,
  type PluginSet,
  wanted,
} from './interchange-support.ts'

import { hostsFor, nth } from './support.ts'

const folder = '/run/lab/legacy'

/** Debian's plugins where the administrator chose the older iptables, which nftables cannot see. */
const reference: PluginSet = {
  title: `${debian.title} with iptables-legacy`,
  folder: debian.folder,
  path: [folder, process.env['PATH'] ?? ''].join(delimiter),
}

const testLegacy = testWith('iptables-legacy', 'ip6tables-legacy', '/usr/lib/cni/bridge')

async function legacyHost(t: ExecutionContext, name: string): Promise<Host> {
  const here = nth(await hostsFor(t, { name, count: 1 }), 0)
  await installOurs(here)
  await runAt(here, ['mkdir', folder])
  for (const program of ['iptables', 'ip6tables']) {
    const file = (await runAt(here, ['which', `${program}-legacy`])).trim()
    await runAt(here, ['ln', '-s', file, `${folder}/${program}`])
  }
  return here
}

/** The rules of both families, without counters and times. */
async function legacyRules(host: Host): Promise<string[]> {
  const script = '{ iptables-legacy-save; ip6tables-legacy-save; } | sed -E "s/ \\[.*\\]$//; /^#/d"'
  return (await runAt(host, ['sh', '-c', script])).split('\n')
}

testLegacy("what Debian's plugins wrote by iptables-legacy, heddle's DEL removes", async (t) => {
  const here = await legacyHost(t, 'legacy')
  const list = chainOf()
  const add = (name: string) => addChain(here, reference, { name, list, runtimeConfig: wanted })
  await delChain(await add('first'), reference)
  const before = await legacyRules(here)

  const attached = await add('second')
  t.notDeepEqual(difference(before, await legacyRules(here)), [])
  await delChain(attached, ours)
  t.deepEqual(difference(before, await legacyRules(here)), [])
})
