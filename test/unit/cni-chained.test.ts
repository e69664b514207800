import test from 'ava'
import type { Call } from '../../cni/call.ts'
import { isChained } from '../../cni/target/wanted-features.ts'

/** Whether `heddle` takes itself for chained by this result of the plugin before it. */
function isBehind(prevResult: object | undefined, more: object = {}): boolean {
  const conf = { name: 'n', ...(prevResult && { prevResult }), ...more }
  const invocation = { command: 'ADD', ifname: 'eth0' }
  return isChained({ role: 'heddle', conf, invocation } as unknown as Call)
}

const eth0 = { name: 'eth0', sandbox: '/run/netns/c' }

test('isChained() goes by the interface that it is called for, not by any result', (t) => {
  t.false(isBehind(undefined))
  t.false(isBehind({ interfaces: [{ name: 'lo', sandbox: '/run/netns/c' }] }))
  t.false(isBehind({ interfaces: [{ name: 'eth0' }] }))
  t.true(isBehind({ interfaces: [{ name: 'cni0' }, eth0] }))
})

test('isChained() goes by the addresses where a result names no interface', (t) => {
  t.true(isBehind({ ip4: { ip: '10.1.2.3/24' } }))
  t.true(isBehind({ ips: [{ address: '10.1.2.3/24' }] }))
  t.false(isBehind({ ip4: { ip: '127.0.0.1/8' }, ip6: { ip: '::1/128' } }))
  t.false(isBehind({ ips: [] }))
})

test('isChained() believes a configuration that says so, or that it is not', (t) => {
  t.true(isBehind(undefined, { chained: true }))
  t.false(isBehind({ interfaces: [eth0] }, { chained: false }))
})
