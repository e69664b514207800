import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

const root = join(import.meta.dirname, '../..')

test('docs/conformance.md names tests of ours that are there', (t) => {
  const [, section = ''] = readFileSync(join(root, 'docs/conformance.md'), 'utf8').split(
    "## Flannel's own tests\n",
  )
  // `test/unit/ip.test.ts`: part of a title
  const named = Array.from(section.matchAll(/`(test\/[^`]+\.ts)`(?:: ([^|;]+?)(?: \||;))?/g))
  t.true(named.length > 20, `${named.length} tests`)
  for (const [, file = '', title = ''] of named) {
    t.true(readFileSync(join(root, file), 'utf8').includes(title), `${file} has no “${title}”`)
  }
})
