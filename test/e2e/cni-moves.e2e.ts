import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import test from 'ava'
import { type Host, hostFile } from '../../scripts/lab/lab.ts'
import { runAt } from '../../scripts/lab/place.ts'
import { bareHost, changes, dump, ipJson, mustRun, podOn, runPlugin } from './cni-support.ts'
import { testWith } from './installed.ts'

const v4 = { subnet: '10.88.0.0/24' }
const v6 = { subnet: 'fd00:88::/64' }

function conf(more: object = {}, ranges: object[][] = [[v4], [v6]]): object {
  const ipam = { type: 'host-local', ranges }
  return { cniVersion: '1.0.0', name: 'net', type: 'heddle', ipam, ...more }
}

interface BridgeLink {
  readonly ifindex: number
  readonly address: string
  readonly promiscuity: number
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[]
}

async function bridgeOf(host: Host): Promise<BridgeLink> {
  const [link] = await ipJson<BridgeLink>(host, '-details', 'addr', 'show', 'cni0')
  if (!link) throw new Error('there is no cni0')
  return link
}

async function addressesOf(host: Host): Promise<string[]> {
  const { addr_info: list } = await bridgeOf(host)
  const own = list.filter(({ local }) => !local.startsWith('fe80'))
  return own.map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}

/** A node whose subnet comes from the lease daemon. */
async function lease(host: Host, subnet: string): Promise<void> {
  const file = hostFile(host, '/run/flannel/subnet.env')
  mkdirSync(dirname(file), { recursive: true })
  const lines = ['NETWORK=10.1.0.0/16', `SUBNET=${subnet}`, 'MTU=1450', 'IPMASQ=true']
  writeFileSync(file, `${lines.map((line) => `FLANNEL_${line}`).join('\n')}\n`)
}

test('heddle follows a new subnet of its node, again and again, when nothing uses the old one', async (t) => {
  const host = await bareHost(t, 'moved')
  const pod = await podOn(host, 'c1')
  const leased = { cniVersion: '1.0.0', name: 'net', type: 'heddle' }
  for (const subnet of ['10.1.7.1/24', '10.1.9.1/24', '10.1.0.1/20']) {
    await lease(host, subnet)
    const { json } = await mustRun(t, pod, { command: 'ADD', conf: leased })
    t.deepEqual(await addressesOf(host), [subnet])
    await runAt(pod, ['ping', '-c1', '-W1', subnet.split('/')[0] ?? ''])
    const after = { ...leased, prevResult: json }
    await mustRun(t, pod, { command: 'CHECK', conf: after })
    await mustRun(t, pod, { command: 'DEL', conf: after })
  }
})

test('heddle follows a new range of a bridge that it made, again and again', async (t) => {
  const host = await bareHost(t, 'ranges')
  const pod = await podOn(host, 'c1')
  const second = ['fd00:88::/64', 'fd00:89::/64', 'fd00:90::/64']
  for (const [index, subnet] of ['10.88.0.0/24', '10.89.0.0/24', '10.90.0.0/24'].entries()) {
    const made = conf({}, [[{ subnet }], [{ subnet: second[index] }]])
    const { json } = await mustRun(t, pod, { command: 'ADD', conf: made })
    const after = { ...made, prevResult: json }
    await mustRun(t, pod, { command: 'CHECK', conf: after })
    await mustRun(t, pod, { command: 'DEL', conf: after })
    // In IPv6 a bridge may have several.
    const expected = [subnet, ...second.slice(0, index + 1).reverse()]
    const gateways = expected.map((one) =>
      one.replace(/(::|0)\//, (end) => `${end === '0/' ? '' : '::'}1/`),
    )
    t.deepEqual(await addressesOf(host), gateways)
  }
  const before = [await addressesOf(host), (await bridgeOf(host)).address]
  const routes = [{ dst: '10.1.0.0/16', gw: '192.0.2.1' }]
  const ipam = { type: 'host-local', subnet: '10.91.0.0/24', routes }
  const fails = conf({ ipam })
  t.is((await runPlugin(pod, { command: 'ADD', conf: fails })).json.code, 100)
  t.deepEqual([await addressesOf(host), (await bridgeOf(host)).address], before)
})

test('heddle refuses a new subnet while something uses the old one, and says what', async (t) => {
  const host = await bareHost(t, 'used')
  const [pod, other] = [await podOn(host, 'c1'), await podOn(host, 'c2')]
  const leased = { cniVersion: '1.0.0', name: 'net', type: 'heddle' }
  await lease(host, '10.1.7.1/24')
  await mustRun(t, pod, { command: 'ADD', conf: leased })
  await lease(host, '10.1.9.1/24')
  const before = await dump(host, other)
  const refused = await runPlugin(other, { command: 'ADD', conf: leased })
  t.like(refused.json, {
    code: 102,
    msg: '"cni0" already has an IP address different from 10.1.9.1/24',
  })
  t.regex(
    refused.json.details ?? '',
    /it has 10\.1\.7\.1\/24: .* used by container host1-c1 \(eth0\)$/,
  )
  t.deepEqual(changes(before, await dump(host, other)), [])
  await mustRun(t, pod, { command: 'DEL', conf: leased })
  await runAt(host, ['ip', 'link', 'add', 'vm7', 'type', 'veth', 'peer', 'name', 'vm7p'])
  await runAt(host, ['ip', 'link', 'set', 'vm7', 'master', 'cni0'])
  const foreign = await runPlugin(other, { command: 'ADD', conf: leased })
  t.regex(foreign.json.details ?? '', /used by port vm7$/)
  await runAt(host, ['ip', 'link', 'del', 'vm7'])
  await mustRun(t, other, { command: 'ADD', conf: leased })
  t.deepEqual(await addressesOf(host), ['10.1.9.1/24'])
})

const forward = '/usr/sbin/iptables-nft'
const testWithIptables = testWith(forward)

testWithIptables(
  'heddle lets packets through where FORWARD drops, and CHECK says when they are not',
  async (t) => {
    const host = await bareHost(t, 'forward')
    for (const program of [forward, '/usr/sbin/ip6tables-nft']) {
      await runAt(host, [program, '-P', 'FORWARD', 'DROP'])
    }
    const pod = await podOn(host, 'c1')
    const masked = conf({ ipMasq: true })
    const { json } = await mustRun(t, pod, { command: 'ADD', conf: masked })
    for (const world of ['10.100.0.254', 'fd00:100::fe']) {
      await runAt(pod, ['ping', '-c1', '-W1', world])
    }
    const after = { ...masked, prevResult: json }
    await mustRun(t, pod, { command: 'CHECK', conf: after })
    await runAt(host, [forward, '-D', 'FORWARD', '-i', 'cni0', '-j', 'ACCEPT'])
    const { code, json: fault } = await runPlugin(pod, { command: 'CHECK', conf: after })
    t.is(code, 1)
    t.is(fault.code, 103)
    t.regex(fault.msg ?? '', /FORWARD has no rule: /)
    // A bridge that is found down may have been so while the firewall was made anew.
    await runAt(host, ['ip', 'link', 'set', 'cni0', 'down'])
    await mustRun(t, await podOn(host, 'c2'), { command: 'ADD', conf: masked })
    await mustRun(t, pod, { command: 'CHECK', conf: after })
  },
)
