import { edenGC, fullGC } from 'bun:jsc'

/** Sizes of a turn: young garbage is looked for after so many things, all of it after so many turns. */
const THINGS = 2_000
const TURNS = 3

/**
 * To be called once for each of many things that are made and let go in one go, such as leases that
 * are read or planned. Left to itself the collector lets a heap grow to several times what is kept,
 * and what was kept meanwhile holds on to its pages: measured with 10,000 leases, 200 MB in the end
 * instead of 115. It costs 15 µs a thing.
 */
export function relieve(): void {
  things += 1
  if (things < THINGS) return
  things = 0
  turns += 1
  if (turns % TURNS === 0) fullGC()
  else edenGC()
}

let things = 0
let turns = 0
