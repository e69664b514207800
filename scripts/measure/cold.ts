import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

/**
 * How long each program takes to answer VERSION when none of its pages are in memory: milliseconds,
 * by program. Drops the machine's page cache before each start. Needs root.
 */
export function coldStarts(programs: readonly string[], rounds: number): number[][] {
  const times: number[][] = programs.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, program] of programs.entries()) {
      // The kernel drops only clean pages.
      spawnSync('sync')
      writeFileSync('/proc/sys/vm/drop_caches', '3')
      const began = process.hrtime.bigint()
      const { status } = spawnSync(program, [], {
        input: '{"cniVersion":"1.0.0"}',
        env: { CNI_COMMAND: 'VERSION' },
      })
      if (status !== 0) throw new Error(`${program} VERSION: exit ${status}`)
      times[index]?.push(Number(process.hrtime.bigint() - began) / 1e6)
    }
  }
  return times
}
