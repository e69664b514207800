import { edenGC, fullGC } from 'bun:jsc'

/** Sizes of a turn: young garbage is looked for after so many things, all of it after so many turns. */
const THINGS = 2_000
const TURNS = 3

/**
 * To be called once for each of many things that are made and let go in one go, such as leases that
 * are read or planned. Left to itself the collector lets a heap grow to several times what is kept,
 * and what is kept then holds on to pages here and there: with 10,000 leases the daemon had 150 MB
 * resident instead of 119, and 200 at its peak instead of 170. It costs 10 µs a thing.
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
