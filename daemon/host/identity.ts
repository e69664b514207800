import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { localMac, type Mac, parseMac } from '../../ip/mac.ts'
import { readIfThere, readVersioned, StateError, writeAtomically } from './files.ts'

/**
 * Who this node is: the UUID in `<state>/node-id`, made once. Neither the machine id nor the host
 * name will do, which copied disks share.
 */
export function nodeId(stateDir: string): string {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  const path = join(stateDir, 'node-id')
  const text = readIfThere(path)
  if (text === undefined) {
    const made = randomUUID()
    writeAtomically(path, `${made}\n`, 0o600)
    return made
  }
  const id = text.trim()
  if (!/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/.test(id)) {
    throw new StateError(`${path} holds no UUID: remove it and this node becomes a new one`)
  }
  return id
}

const version = 1

/**
 * The MACs of our VXLAN devices, in `<state>/macs.json`. A device keeps its MAC over restarts and
 * reboots, so that peers need not learn a new one.
 */
export class Macs {
  readonly #path: string
  readonly #macs = new Map<string, Mac>()

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'macs.json')
    const saved = readVersioned(this.#path, version)?.['macs']
    for (const [device, text] of Object.entries(saved ?? {})) {
      const mac = typeof text === 'string' ? parseMac(text) : undefined
      if (mac) this.#macs.set(device, mac)
    }
  }

  /** Every device we ever made here, with its MAC. */
  get known(): ReadonlyMap<string, Mac> {
    return this.#macs
  }

  /** The device's MAC: as it was before, else the one it has now, else a new one. */
  for(device: string, present: Mac | undefined): Mac {
    const known = this.#macs.get(device)
    if (known) return known
    const mac = present ?? localMac(randomBytes(6))
    this.#write([...this.#macs, [device, mac]])
    // Not sooner: what could not be written is to be tried again.
    this.#macs.set(device, mac)
    return mac
  }

  /** These devices are gone: one of such a name that comes later is none of ours. Throws StateError. */
  forget(devices: readonly string[]): void {
    for (const device of devices) this.#macs.delete(device)
    this.#write([...this.#macs])
  }

  #write(known: readonly (readonly [string, Mac])[]): void {
    const macs = Object.fromEntries(known)
    writeAtomically(this.#path, `${JSON.stringify({ v: version, macs })}\n`, 0o600)
  }
}
