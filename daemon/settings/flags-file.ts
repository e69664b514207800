import { join } from 'node:path'
import { readVersioned, writeIfDifferent } from '../host/files.ts'
import { environmentName, flagSpecs, isSecret, type ParsedFlags } from './flags.ts'

const version = 1

function flagsPath(stateDir: string): string {
  return join(stateDir, 'flags.json')
}

/**
 * The flags that a daemon was started with, as environment variables: who cleans up after it finds
 * its store and its subnet file without being told again.
 */
export function flagsToKeep(
  { values, given }: ParsedFlags,
  { store, subnetFile }: { readonly store: string; readonly subnetFile: string },
): Readonly<Record<string, string>> {
  // `heddled cleanup` asks for secrets again: a password has no place in one more file.
  const plain = [...given].filter((name) => isText(name) && !isSecret(name))
  const texts = plain.map((name): [string, unknown] => [name, Reflect.get(values, name)])
  const kept: (readonly [string, unknown])[] = [
    ...texts,
    // What was not given follows from the name of the program, and from that of the instance.
    ['store', store],
    ['subnet-file', subnetFile],
  ]
  return Object.fromEntries(kept.map(([name, value]) => [environmentName(name), String(value)]))
}

/** Not a list, whose items one variable could not hold. */
function isText(name: string): boolean {
  return Object.entries(flagSpecs).some(([known, { kind }]) => known === name && kind !== 'list')
}

/** Writes them into the state folder if they are others than before. */
export function writeFlags(stateDir: string, environment: Readonly<Record<string, string>>): void {
  writeIfDifferent(flagsPath(stateDir), `${JSON.stringify({ v: version, environment })}\n`, 0o600)
}

/** Those of the last daemon with this state folder; none if there was none. Throws StateError. */
export function readFlags(stateDir: string): Readonly<Record<string, string>> {
  const saved = readVersioned(flagsPath(stateDir), version)?.['environment']
  const entries = Object.entries(typeof saved === 'object' && saved !== null ? saved : {})
  return Object.fromEntries(entries.filter(([, value]) => typeof value === 'string'))
}
