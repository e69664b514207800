import test from 'ava'
import { verbRows } from './all-rows.ts'
import { testRows } from './rows.ts'
import { useHost } from './site.ts'

testRows(test, useHost(test, 'verbs'), verbRows)
