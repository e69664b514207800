import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { addHost, addPod, createLab, hostFile } from '../../scripts/lab/lab.ts'
import { ping } from '../../scripts/lab/ping.ts'
import { runAt, startAt } from '../../scripts/lab/place.ts'
import { destroyLab, labNamespaces } from '../../scripts/lab/teardown.ts'

const two = { count: 2, intervalMs: 200 }

test('createLab: two labs stand side by side with the same addresses and do not see each other', async (t) => {
  const names = ['a', 'a-b'].map((name) => `e2e-lab-${process.pid}-${name}`) as [string, string]
  t.teardown(() => Promise.all(names.map(destroyLab)))
  const [first, second] = [await createLab({ name: names[0] }), await createLab({ name: names[1] })]
  const [one, twin] = [await addHost(first, 1), await addHost(first, 2)]
  const other = await addHost(second, 3)
  t.like(await ping(one, twin.publicIP, two), { received: 2 })
  t.like(await ping(one, twin.publicIPv6, two), { received: 2 })
  t.like(await ping(one, other.publicIP, two), { received: 0 })

  writeFileSync(hostFile(one, '/var/lib/heddle/mine'), '')
  t.true(existsSync(hostFile(one, '/var/lib/heddle/mine')))
  t.false(existsSync(hostFile(twin, '/var/lib/heddle/mine')))
  t.false(existsSync('/var/lib/heddle/mine'))

  await destroyLab(names[0])
  t.deepEqual(labNamespaces(names[0]), [])
  t.is(labNamespaces(names[1]).length, 2, 'the other lab is untouched')
  t.is(await runAt(other, ['hostname']), 'host3')
})

test('destroyLab: ends what runs on hosts, in pods and on the switch, and nothing else', async (t) => {
  const name = `e2e-lab-${process.pid}-c`
  t.teardown(() => destroyLab(name))
  const lab = await createLab({ name })
  const host = await addHost(lab, 1)
  const pod = await addPod(host, 'a')
  const logFile = `${lab.directory}/sleep.log`
  const places = [host, pod, lab.switch, { name: 'machine', enter: ['env'] as const }]
  const programs = places.map((place) => startAt(place, ['sleep', '60'], { logFile }))
  t.teardown(() => Promise.all(programs.map((program) => program.stop())))
  await destroyLab(name)
  t.deepEqual(
    programs.map((program) => program.running()),
    [false, false, false, true],
  )
  t.false(existsSync(lab.directory))
  t.deepEqual(
    readdirSync('/run/netns').filter((entry) => entry.startsWith(`heddle-${name}`)),
    [],
  )
})
