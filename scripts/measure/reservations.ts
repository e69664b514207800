import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Contestant, environment, timed } from './plugin.ts'

/** IPAM alone, in a folder that holds many reservations. */
export interface ReservationPlan {
  readonly kind: 'reservations'
  readonly rounds: number
  readonly taken: number
  /** heddle-ipam and the reference's host-local. */
  readonly programs: readonly [string, string]
}

/** Milliseconds of an ADD, by round. */
export interface ReservationSamples {
  /** heddle with nothing reserved, and with all of `taken`, when nobody else writes. */
  readonly none: number[]
  readonly many: number[]
  /** The reference among that many, and heddle right after that foreign write. */
  readonly reference: number[]
  readonly afterForeign: number[]
}

const network = 'bench'

export function measureReservations({
  rounds,
  taken,
  programs: [heddle, reference],
}: ReservationPlan): ReservationSamples {
  const samples: ReservationSamples = { none: [], many: [], reference: [], afterForeign: [] }
  const dataDir = mkdtempSync(join(tmpdir(), 'heddle-bench-ipam-'))
  try {
    const empty = pool(join(dataDir, 'none'))
    const full = pool(join(dataDir, 'many'))
    fill(join(dataDir, 'many', network), taken)
    // The first run finds what was written by another; it is not counted.
    addAndDelete(heddle, full, 'first')
    for (let round = 0; round < rounds; round++) {
      samples.none.push(addAndDelete(heddle, empty, `n${round}`))
      samples.many.push(addAndDelete(heddle, full, `m${round}`))
    }
    for (let round = 0; round < rounds; round++) {
      samples.reference.push(run('ADD', reference, full, `r${round}`))
      samples.afterForeign.push(run('ADD', heddle, full, `h${round}`))
    }
  } finally {
    rmSync(dataDir, { recursive: true })
  }
  return samples
}

function pool(dataDir: string): Contestant['chain'][number]['conf'] {
  const ranges = [[{ subnet: '10.64.0.0/14' }]]
  return {
    cniVersion: '1.0.0',
    name: network,
    type: 'bridge',
    ipam: { type: 'host-local', dataDir, ranges },
  }
}

/** Reservations in the form in which every host-local writes them. */
function fill(folder: string, count: number): void {
  mkdirSync(folder, { recursive: true })
  let address = ''
  for (let n = 2; n < count + 2; n++) {
    address = `10.64.${n >> 8}.${n & 255}`
    writeFileSync(join(folder, address), `filler-${n}\r\neth0`)
  }
  writeFileSync(join(folder, 'last_reserved_ip.0'), address)
}

function addAndDelete(program: string, conf: object, id: string): number {
  const ms = run('ADD', program, conf, id)
  run('DEL', program, conf, id)
  return ms
}

function run(command: string, program: string, conf: object, id: string): number {
  return timed(program, JSON.stringify(conf), environment(command, id, dirname(program)))[0].ms
}
