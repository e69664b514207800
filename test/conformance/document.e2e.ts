import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { allRows } from './all-rows.ts'
import type { Deviation } from './deviation.ts'
import { deviations } from './deviations.ts'
import { subjectsOf } from './rows.ts'

const document = readFileSync(join(import.meta.dirname, '../../docs/conformance.md'), 'utf8')

/** A difference as a line of the document's table. */
function lineOf({ row, of, instead, why }: Deviation): string {
  return `| ${row} | ${of.join(', ')} | ${instead} | ${why} |`
}

test('the document lists the differences that the suite asserts, and no others', (t) => {
  const listed = document
    .split('\n')
    .filter((line) => /^\| [A-Z\d][\w./-]* \| (Debian|1\.9\.1)/.test(line))
  t.deepEqual(listed, deviations.map(lineOf))
})

test('every listed difference is of a row and a plugin that are tried', (t) => {
  for (const { row, of } of deviations) {
    const tried = allRows.filter((one) => one.row === row).flatMap(subjectsOf)
    t.true(tried.length > 0, `there is a row ${row}`)
    for (const name of of) {
      t.true(
        tried.some(({ title, maker }) => name === title || name === maker),
        `${row} is tried on ${name}`,
      )
    }
  }
})

test('every row of the checklist has a case', (t) => {
  const counts = { E: 12, S: 11, V: 3, R: 11, A: 4, D: 6, C: 5, G: 5, T: 4, L: 9, K: 8 }
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.e2e.ts'))
  const texts = files
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .join('\n')
  for (const [letter, count] of Object.entries(counts)) {
    for (let number = 1; number <= count; number++) {
      const id = `${letter}${number}`
      const isRow = allRows.some(({ row }) => row === id || row.replace(/[a-z]$/, '') === id)
      t.true(isRow || texts.includes(`'${id}: `) || texts.includes(`\`${id}: `), id)
    }
  }
})
