import { testUnless } from './installed.ts'
import { oursThenReference, referenceThenOurs, vanishedThenOurs } from './interchange-directions.ts'
import { chainOf } from './interchange-support.ts'
import { goInstall } from './runtimes-go.ts'

const version = 'v1.9.1'
const title = `upstream's ${version}`

const plugins = ['main/bridge', 'meta/portmap', 'meta/bandwidth', 'ipam/host-local']
const module = 'github.com/containernetworking/plugins/plugins'
const built = await goInstall(...plugins.map((path) => `${module}/${path}@${version}`))

for (const backend of ['iptables', 'nftables'] as const) {
  const list = chainOf({ ipMasqBackend: backend, backend })
  const inTitle = `what ${title} attached with ${backend}, heddle detaches`
  const goneTitle = `${inTitle}, also when the namespace is gone`
  const outTitle = `what heddle attached, ${title} with ${backend} detaches but for its firewall elements`
  const define = testUnless('reason' in built ? built.reason : undefined)
  const reference = { title, folder: 'folder' in built ? built.folder : '' }
  const swap = { reference, name: `upstream-${backend}` }
  define(inTitle, (t) => referenceThenOurs(t, { ...swap, list }))
  define(goneTitle, (t) => vanishedThenOurs(t, { ...swap, list }))
  // iptables is upstream's choice where both can be had; heddle refuses to be told so.
  const bothTake = backend === 'iptables' ? chainOf() : list
  define(outTitle, (t) => oursThenReference(t, { ...swap, list: bothTake }))
}
