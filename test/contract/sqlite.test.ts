import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { silent } from '../../log/logger.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite.ts'
import { testFlannelLeases } from './flannel-leases.ts'
import { type StoreLab, testStore } from './store-contract.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-sqlite-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const path = join(folder, 'made', 'store.db')

const lab: StoreLab = {
  // Every call blocks this process while the disk writes, and some tests write much.
  define: test.serial,
  choice: () => ({ sqlite: path }),
  open: () => openSqliteStore(path, silent),
  async compact(store) {
    await using forgetful = openSqliteStore(path, silent, { historyLength: 1 })
    const { entries } = await store.list('')
    const [entry] = entries
    if (entry) await forgetful.put(entry.key, entry.value, entry.revision)
  },
}

testStore('sqlite', lab)
testFlannelLeases('sqlite', lab)
