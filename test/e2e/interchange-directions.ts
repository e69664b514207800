import type { ExecutionContext } from 'ava'
import { deletePod, type Host } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import {
  type Attached,
  addChain,
  addressOf,
  type ConfList,
  chainOf,
  collectGarbage,
  delChain,
  delOnly,
  difference,
  installOurs,
  ours,
  type PluginSet,
  wanted,
} from './interchange-support.ts'
import { askAll, startEcho } from './runtimes-echo.ts'
import { type Traces, tracesOn } from './runtimes-support.ts'
import { hostsFor, nth } from './support.ts'

/** Who stands on the other side, and the configuration both are given. */
export interface Swap {
  readonly reference: PluginSet
  readonly list: ConfList
  /** Unique in its file. */
  readonly name: string
  /** What the reference says to a first DEL of what heddle attached. */
  readonly complaint?: RegExp
}

interface Site {
  readonly here: Host
  readonly there: Host
}

async function twoHosts(t: ExecutionContext, name: string): Promise<Site> {
  const hosts = await hostsFor(t, { name, count: 2 })
  const here = nth(hosts, 0)
  await installOurs(here)
  // The reference's bridge would not answer for its IPv6 address in its first second.
  await runAt(here, ['sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'])
  return { here, there: nth(hosts, 1) }
}

/** Attaches and detaches a first container by one set of plugins: what this leaves, every run leaves. */
async function comeAndGo(host: Host, plugins: PluginSet, list: ConfList): Promise<Traces> {
  const options = { name: 'first', list, runtimeConfig: wanted }
  await delChain(await addChain(host, plugins, options), plugins)
  return tracesOn(host)
}

/** Attaches a container with published ports and asks it from the other host. */
async function serve(
  t: ExecutionContext,
  { here, there }: Site,
  { plugins, name, list }: { plugins: PluginSet; name: string; list: ConfList },
): Promise<Attached> {
  const attached = await addChain(here, plugins, { name, list, runtimeConfig: wanted })
  const echo = await startEcho(t, attached.pod, here.lab.directory)
  const answers = await askAll(there, [
    ['tcp', here.publicIP, 8080],
    ['udp', here.publicIP, 5353],
    ['tcp', here.publicIPv6, 8080],
  ])
  const expected = [there.publicIP, there.publicIP, there.publicIPv6]
  t.deepEqual(Object.values(answers), expected, `${plugins.title} publish`)
  await echo.stop()
  return attached
}

/** An ADD by the reference, a DEL by heddle: the same is left as after the reference's own DEL. */
export async function referenceThenOurs(t: ExecutionContext, swap: Swap): Promise<void> {
  const { reference, list } = swap
  const site = await twoHosts(t, `${swap.name}-in`)
  const before = await comeAndGo(site.here, reference, list)
  t.deepEqual(before.files, [])

  const attached = await serve(t, site, { plugins: reference, name: 'second', list })
  const during = await tracesOn(site.here)
  t.notDeepEqual(difference(before.ruleset, during.ruleset), [])
  t.is(during.files.length, 2, 'a reservation of each family')
  t.true(during.links.some((link) => link.endsWith(' ifb')))
  await delChain(attached, ours)
  t.deepEqual(await tracesOn(site.here), before)
  // Without keys for firewalls that heddle does not write.
  await serve(t, site, { plugins: ours, name: 'third', list: chainOf() })
}

/**
 * As `referenceThenOurs`, but the container's namespace is gone before its DEL, and with it the link
 * by which the reference finds what it masquerades.
 */
export async function vanishedThenOurs(t: ExecutionContext, swap: Swap): Promise<void> {
  const { reference, list } = swap
  const site = await twoHosts(t, `${swap.name}-gone`)
  const before = await comeAndGo(site.here, reference, list)
  const attached = await serve(t, site, { plugins: reference, name: 'second', list })
  await deletePod(attached.pod)
  await delOnly({ ...attached, pod: { ...attached.pod, path: '' } }, ours)
  t.deepEqual(await tracesOn(site.here), before)
}

/**
 * An ADD by heddle, a DEL by the reference. It takes the link and the reservation, but cannot know
 * of heddle's own nftables elements and record: these, and only these, stay until heddle's next GC,
 * or until an ADD needs the port.
 */
export async function oursThenReference(t: ExecutionContext, swap: Swap): Promise<void> {
  const { reference, list } = swap
  const site = await twoHosts(t, `${swap.name}-out`)
  const { here } = site
  const before = await comeAndGo(here, ours, list)
  t.deepEqual(before.files, [])

  const attached = await serve(t, site, { plugins: ours, name: 'second', list })
  const during = await tracesOn(here)
  const { complaint } = swap
  if (complaint) await t.throwsAsync(delOnly(attached, reference), { message: complaint })
  await delChain(attached, reference)
  const after = await tracesOn(here)
  t.deepEqual(after.links, before.links)
  const record = '/run/heddle/attachments/swap/second-eth0.json'
  t.deepEqual(difference(before.files, after.files), [`+ ${record}`])
  t.notDeepEqual(ownTable(during), ownTable(before))
  t.deepEqual(ownTable(after), ownTable(during), 'our elements are still there')

  const next = await serve(t, site, { plugins: ours, name: 'third', list })
  t.not(addressOf(next), addressOf(attached))
  await collectGarbage(here, list, ['third'])
  const { files } = await tracesOn(here)
  t.false(files.includes(record), 'GC takes the record')
  t.true(files.includes('/run/heddle/attachments/swap/third-eth0.json'))
  await delChain(next, ours)
  const end = await tracesOn(here)
  t.deepEqual({ ...end, ruleset: [] }, { ...before, ruleset: [] })
  t.deepEqual(ownTable(end), ownTable(before), 'GC takes the elements')
}

/** heddle's own table; the reference may write others on the way. */
function ownTable({ ruleset }: Traces): string[] {
  const start = ruleset.indexOf('table inet heddle-cni {')
  return ruleset.slice(start, ruleset.indexOf('}', start))
}
