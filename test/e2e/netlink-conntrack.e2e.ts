import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { run } from '../../scripts/lab/run.ts'

const bun = join(import.meta.dirname, '../../node_modules/.bin/bun')
const probeFile = join(import.meta.dirname, 'netlink-conntrack-probe.ts')
/** By its path: a development dependency brings another program of this name. */
const nft = '/usr/sbin/nft'

/** Port 5300 goes to 5400, and a rule that looks at connections makes the kernel track them. */
const rules = `table inet t {
  chain postrouting {
    type nat hook postrouting priority 100
    udp dport 5302 snat ip to 10.5.0.2
  }
  chain output {
    type nat hook output priority -100
    udp dport 5300 dnat ip to 127.0.0.1:5400
    meta nfproto ipv6 udp dport 5300 dnat ip6 to [::1]:5400
  }
}`

interface Host {
  probe(...args: readonly string[]): Promise<unknown>
  send(address: string, port: number): Promise<string>
}

/** A namespace of the test's own, gone after it, with two addresses on its loopback. */
async function hostFor(t: ExecutionContext, name: string): Promise<Host> {
  const netns = `heddle-ct-${name}-${process.pid}`
  await run(['ip', 'netns', 'add', netns])
  t.teardown(() => run(['ip', 'netns', 'delete', netns]))
  const inside = (...command: [string, ...string[]]) =>
    run(['ip', 'netns', 'exec', netns, ...command])
  await inside('ip', 'link', 'set', 'lo', 'up')
  await inside('ip', 'address', 'add', '10.5.0.1/32', 'dev', 'lo')
  await run(['ip', 'netns', 'exec', netns, nft, '-f', '-'], { input: rules })
  return {
    async probe(...args) {
      return JSON.parse(await inside(bun, 'run', probeFile, ...args)) as unknown
    },
    send: (address, port) => inside('bash', '-c', `echo >/dev/udp/${address}/${port}`),
  }
}

test('flushConntrack: forgets the connections to one port, of one family, at one address', async (t) => {
  const host = await hostFor(t, 'one')
  for (const address of ['127.0.0.1', '10.5.0.1', '::1']) {
    await host.send(address, 5300)
    await host.send(address, 5301)
  }
  const [toLoopback, toOther, toIPv6] = [
    { translated: true, to: '127.0.0.1 5300', by: '127.0.0.1 5400' },
    { translated: true, to: '10.5.0.1 5300', by: '127.0.0.1 5400' },
    { translated: true, to: '::1 5300', by: '::1 5400' },
  ]
  const both = (await host.probe('list', '4', '5300')) as { to: string }[]
  t.deepEqual(
    both.toSorted((a, b) => (a.to < b.to ? -1 : 1)),
    [toOther, toLoopback],
  )
  t.deepEqual(await host.probe('list', '4', '5300', '10.5.0.1'), [toOther])
  t.deepEqual(await host.probe('list', '6', '5300'), [toIPv6])

  t.is(await host.probe('flush', '4', '5300', '10.5.0.1'), 1)
  t.deepEqual(await host.probe('list', '4', '5300'), [toLoopback])
  t.is(await host.probe('flush', '4', '5300'), 1)
  t.is(await host.probe('flush', '4', '5300'), 0)
  t.deepEqual(await host.probe('list', '6', '5300'), [toIPv6], 'the other family')
  t.is(((await host.probe('list', '4', '5301')) as unknown[]).length, 2, 'the other port')
  t.is(await host.probe('flush', '6', '5300'), 1)
})

test('flushConntrack: several ports go at once, and what only passes through the host stays', async (t) => {
  const host = await hostFor(t, 'several')
  for (const port of [5300, 5301, 5302, 5303]) await host.send('10.5.0.1', port)
  t.is(await host.probe('flush', '4', '5300,5301,5302'), 2)
  t.deepEqual(await host.probe('list', '4', '5300'), [])
  t.deepEqual(await host.probe('list', '4', '5301'), [])
  t.is(((await host.probe('list', '4', '5302')) as unknown[]).length, 1, 'its source is translated')
  t.is(((await host.probe('list', '4', '5303')) as unknown[]).length, 1, 'another port')
})
