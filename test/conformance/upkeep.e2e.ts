import test from 'ava'
import { upkeepRows } from './all-rows.ts'
import { testRows } from './rows.ts'
import { useHost } from './site.ts'

testRows(test, useHost(test, 'upkeep'), upkeepRows)
