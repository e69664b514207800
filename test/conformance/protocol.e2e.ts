import test from 'ava'
import { protocolRows } from './all-rows.ts'
import { testRows } from './rows.ts'
import { useHost } from './site.ts'

testRows(test, useHost(test, 'protocol'), protocolRows)
