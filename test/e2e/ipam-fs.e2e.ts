import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { run } from '../../scripts/lab/run.ts'

const root = join(import.meta.dirname, '../..')
const bun = join(root, 'node_modules/.bin/bun')
const node = join(root, 'node_modules/.bin/node')

/** Asks the calls that IPAM lives by, also for what is not there, and prints what they say. */
const probe = `
const said = []
const tell = (name, call) => {
  try { said.push([name, call() ?? null]) } catch (error) { said.push([name, error.code, error.syscall]) }
}
const at = (name) => dir + '/' + name
fs.writeFileSync(at('a'), 'text')
tell('link', () => fs.linkIfFree(at('a'), at('b')))
tell('link again', () => fs.linkIfFree(at('a'), at('b')))
tell('link nothing', () => fs.linkIfFree(at('none'), at('c')))
tell('links', () => [fs.statSync(at('a')).nlink, fs.statSync(at('a')).ino === fs.statSync(at('b')).ino])
tell('read', () => fs.readIfThere(at('b')))
tell('read nothing', () => fs.readIfThere(at('none')))
tell('read a folder', () => fs.readIfThere(dir))
tell('symlink', () => fs.symlinkSync('some text, é', at('s')))
tell('symlink again', () => fs.symlinkSync('x', at('s')))
tell('readlink', () => fs.readlinkIfThere(at('s')))
tell('readlink nothing', () => fs.readlinkIfThere(at('none')))
tell('readlink a file', () => fs.readlinkIfThere(at('a')))
tell('unlink', () => fs.unlinkIfThere(at('b')))
tell('unlink nothing', () => fs.unlinkIfThere(at('b')))
tell('unlink below a file', () => fs.unlinkIfThere(at('a/b')))
tell('times', () => (fs.utimesSync(at('a'), 1, 4294967295), fs.statSync(at('a')).mtimeMs))
tell('times of nothing', () => fs.utimesSync(at('none'), 1, 1))
tell('access', () => fs.accessSync(at('a'), fs.constants.W_OK))
tell('access nothing', () => fs.accessSync(at('none'), fs.constants.W_OK))
tell('dsync', () => {
  const { O_WRONLY, O_CREAT, O_EXCL, O_DSYNC } = fs.constants
  fs.closeSync(fs.openSync(at('d'), O_WRONLY | O_CREAT | O_EXCL | O_DSYNC, 0o600))
  return [fs.statSync(at('d')).mode, O_DSYNC]
})
fs.mkdirSync(at('many'))
for (let i = 0; i < 2000; i++) fs.linkSync(at('a'), at('many/name-' + i + (i % 3 ? '' : '.' + 'x'.repeat(i % 200))))
fs.writeFileSync(at('many/.hidden'), '')
tell('list', () => {
  const { inodes, name } = fs.listFolder(at('many'))
  const own = fs.statSync(at('a')).ino
  return [...inodes].map((inode, i) => name(i) + (inode === own)).sort()
})
tell('find', () => fs.findNames(at('many'), 'name-19').sort())
tell('find in nothing', () => fs.findNames(at('none'), 'x'))
tell('list nothing', () => fs.listFolder(at('none')))
tell('read folder', () => fs.readdirSync(at('many')).sort())
console.log(JSON.stringify(said))
`

test('sys/fs.ts says what node:fs says', async (t) => {
  const [theirs, ours] = await Promise.all(
    [node, bun].map(async (program) => {
      const dir = mkdtempSync(join(tmpdir(), 'heddle-fs-'))
      t.teardown(() => rmSync(dir, { recursive: true }))
      const module = join(root, program === bun ? 'sys/fs.ts' : 'sys/fs-node.ts')
      const start = `const fs = await import('${module}'); const dir = '${dir}';`
      const flags = program === bun ? ['-e'] : ['--input-type=module', '-e']
      return JSON.parse(await run([program, ...flags, start + probe])) as unknown[][]
    }),
  )
  t.true((theirs?.length ?? 0) > 20)
  for (const [i, expected] of (theirs ?? []).entries()) t.deepEqual(ours?.[i], expected)
})
