import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { testUnless, testWith } from '../e2e/installed.ts'
import { makeCertificates } from './certificates.ts'
import { consulMissing, startConsul } from './consul-server.ts'
import { startEtcd } from './etcd-server.ts'
import type { StoreChoice } from './store-choice.ts'
import { startZookeeper, ZOOKEEPER } from './zookeeper-server.ts'

/*
 * What ships is compiled by Bun, whose HTTP/2, TLS, SQLite and file watching are not Node's: each
 * store is used there once.
 */
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'heddle-compiled-'))
const program = join(folder, 'worker')
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

test.before(async () => {
  const root = join(import.meta.dirname, '../..')
  const flags = ['build', '--compile', '--bytecode', '--format=esm', '--minify']
  const worker = join(import.meta.dirname, 'store-worker.ts')
  await run(join(root, 'node_modules/.bin/bun'), [...flags, worker, '--outfile', program], {
    cwd: folder,
  })
})

async function tour(t: ExecutionContext, choice: StoreChoice): Promise<void> {
  const words = [JSON.stringify(choice), 'tour', '/compiled/']
  const { stdout } = await run(program, words, { cwd: folder, timeout: 20_000 })
  t.deepEqual(JSON.parse(stdout), {
    seen: ['put grün', 'put blue', 'delete'],
    results: [true, false, true, false],
    listed: 'blue',
  })
}

test('openSqliteStore() works in a compiled executable', async (t) => {
  await tour(t, { sqlite: join(folder, 'store.db') })
})

test('openEtcdStore() works in a compiled executable', async (t) => {
  await using etcd = await startEtcd()
  await tour(t, { etcd: { endpoints: [etcd.url] } })
})

test('openEtcdStore() works in a compiled executable over TLS, at an address and at a name', async (t) => {
  const { ca, server, elsewhere, client, remove } = makeCertificates()
  t.teardown(remove)
  await using etcd = await startEtcd({ tls: server, clientCertificates: true })
  const tls = { caFile: ca, certFile: client.cert, keyFile: client.key }
  await tour(t, { etcd: { endpoints: [etcd.url], tls } })
  await tour(t, { etcd: { endpoints: [etcd.url.replace('127.0.0.1', 'localhost')], tls } })

  await using impostor = await startEtcd({ tls: elsewhere })
  const choice = { etcd: { endpoints: [impostor.url], tls } }
  const error = await t.throwsAsync(tour(t, choice))
  t.regex(error.message, /its certificate is not trusted/)
})

testUnless(consulMissing)(
  'openConsulStore() works in a compiled executable, also over TLS',
  async (t) => {
    const { ca, server, elsewhere, client, remove } = makeCertificates()
    t.teardown(remove)
    await using plain = await startConsul()
    await tour(t, { consul: { endpoints: [plain.url] } })

    await using consul = await startConsul({ tls: server, clientCertificates: true })
    const tls = { caFile: ca, certFile: client.cert, keyFile: client.key }
    await tour(t, { consul: { endpoints: [consul.url], tls } })
    await tour(t, { consul: { endpoints: [consul.url.replace('127.0.0.1', 'localhost')], tls } })

    await using impostor = await startConsul({ tls: elsewhere })
    const error = await t.throwsAsync(tour(t, { consul: { endpoints: [impostor.url], tls } }))
    t.regex(error.message, /its certificate is not trusted/)
  },
)

testWith(ZOOKEEPER, 'java')(
  'openZookeeperStore() works in a compiled executable, also over TLS',
  async (t) => {
    const { ca, server, elsewhere, client, remove } = makeCertificates()
    t.teardown(remove)
    await using plain = await startZookeeper()
    const login = { username: 'heddle', password: 'secret' }
    await tour(t, { zookeeper: { endpoints: [plain.endpoint] } })

    await using zookeeper = await startZookeeper({ tls: server, clientCertificates: true })
    const tls = { caFile: ca, certFile: client.cert, keyFile: client.key }
    const { endpoint } = zookeeper
    await tour(t, { zookeeper: { endpoints: [endpoint], tls, login } })
    await tour(t, {
      zookeeper: { endpoints: [endpoint.replace('127.0.0.1', 'localhost')], tls, login },
    })

    await using impostor = await startZookeeper({ tls: elsewhere })
    const error = await t.throwsAsync(
      tour(t, { zookeeper: { endpoints: [impostor.endpoint], tls } }),
    )
    t.regex(error.message, /its certificate is not trusted/)
  },
)
