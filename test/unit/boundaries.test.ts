import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

const root = join(import.meta.dirname, '../..')

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

/** Code without comments and string literals, which may name what code may not. */
function code(file: string): string {
  return readFileSync(join(root, file), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '')
    .replaceAll(/'[^'\n]*'/g, "''")
}

// setns moves the one JavaScript thread: an await inside another namespace would run strangers there.
for (const folder of ['cni', 'ipam', 'netlink', 'sys', 'firewall', 'ip']) {
  test(`${folder}/ is synchronous`, (t) => {
    const files = sources(folder)
    t.true(files.length > 0)
    const waiting = files.filter((file) => /\basync\b|\bawait\b|\bPromise\b/.test(code(file)))
    t.deepEqual(waiting, [])
  })
}

test('only sys/ calls the C library', (t) => {
  const folders = [
    'cni',
    'ipam',
    'netlink',
    'store',
    'daemon',
    'ctl',
    'firewall',
    'conf',
    'ip',
    'log',
  ]
  const callers = folders
    .flatMap(sources)
    .filter((file) => readFileSync(join(root, file), 'utf8').includes('bun:ffi'))
  t.deepEqual(callers, [])
})
