import { CniError, errorCodes } from './error.ts'

/** CNI spec versions heddle speaks, oldest first, as VERSION lists them. */
export const supportedVersions = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
] as const

export type CniVersion = (typeof supportedVersions)[number]

/** A configuration without a version is of the first one (cni.md S7). */
const impliedVersion: CniVersion = '0.1.0'

/** The configuration's version cannot be served. `wanted` is its text. */
export class VersionError extends Error {
  override readonly name = 'VersionError'
  readonly wanted: string
  readonly details: string | undefined

  constructor(wanted: string, message: string, details?: string) {
    super(message)
    this.wanted = wanted
    this.details = details
  }
}

/** Reads a configuration's `cniVersion`. @throws VersionError for one that heddle does not speak. */
export function readVersion(text: string | undefined): CniVersion {
  if (text === undefined || text === '') return impliedVersion
  for (const version of supportedVersions) if (version === text) return version
  // Go prints a slice of strings quoted and parted by spaces; operators match this text.
  const list = supportedVersions.map((candidate) => `"${candidate}"`).join(' ')
  const details = `config is "${text}", plugin supports [${list}]`
  throw new VersionError(text, 'incompatible CNI versions', details)
}

/** Verbs that came after 0.1.0, and the version they came with. */
const introducedIn = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const

/**
 * Whether a configuration of this version may use a verb.
 * @throws VersionError when it may not; CniError 6 when the text is not a version at all, which is
 * a decoding failure for these verbs (ADD and DEL say 1).
 */
export function requireVerb(verb: keyof typeof introducedIn, text: string | undefined): void {
  const version = text === undefined || text === '' ? impliedVersion : text
  if (!/^\d+(\.\d+){0,2}$/.test(version)) {
    throw new CniError(errorCodes.decode, `cannot read CNI version "${version}"`)
  }
  if (!isAtLeast(version, introducedIn[verb])) {
    throw new VersionError(version, `config version does not allow ${verb}`)
  }
  if (!supportedVersions.some((candidate) => isAtLeast(candidate, version))) {
    throw new VersionError(version, `plugin version does not allow ${verb}`)
  }
}

/** Compares dotted versions number by number; missing parts count as 0. */
export function isAtLeast(version: string, least: string): boolean {
  const [a, b] = [version, least].map((text) => text.split('.').map(Number))
  for (let part = 0; part < 3; part++) {
    const difference = (a?.[part] ?? 0) - (b?.[part] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** The answer to VERSION, which needs no configuration (CNI spec 1.1.0, section 2 "VERSION"). */
export function renderVersions(): string {
  const cniVersion = supportedVersions.at(-1)
  return `${JSON.stringify({ cniVersion, supportedVersions })}\n`
}
