import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { referenceFolder } from '../e2e/cni-support.ts'
import { latestPlugins } from './reference.ts'

/** What a plugin is for, which decides what configuration it takes. */
export type Kind = 'network' | 'ptp' | 'macvlan' | 'loopback' | 'portmap' | 'bandwidth' | 'ipam'

/** Whose plugin it is: ours, Debian's package of the reference plugins, or their newest release. */
export type Maker = 'heddle' | 'Debian' | '1.9.1'

/** A plugin under test. */
export interface Subject {
  /** `heddle`, `heddle as bridge`, `Debian bridge`, `1.9.1 bridge`. */
  readonly title: string
  readonly maker: Maker
  /** The executable's name, which is the configuration's `type`. */
  readonly plugin: string
  readonly kind: Kind
  /** Why it cannot be tried on this machine. */
  readonly missing?: string
}

/** Where a host of the lab has our executable under all its names. */
export const ourFolder = '/run/lab/plugins'

const ours: Readonly<Record<string, Kind>> = {
  heddle: 'network',
  bridge: 'network',
  flannel: 'network',
  loopback: 'loopback',
  portmap: 'portmap',
  bandwidth: 'bandwidth',
  'heddle-ipam': 'ipam',
  'host-local': 'ipam',
}

const theirs: Readonly<Record<string, Kind>> = {
  bridge: 'network',
  ptp: 'ptp',
  macvlan: 'macvlan',
  loopback: 'loopback',
  portmap: 'portmap',
  bandwidth: 'bandwidth',
  'host-local': 'ipam',
}

/** The names that our executable goes by as a plugin. */
export const ourNames: readonly string[] = Object.keys(ours)

const latest = latestPlugins()

const folders: Readonly<Record<Maker, string | undefined>> = {
  heddle: ourFolder,
  Debian: existsSync(join(referenceFolder, 'bridge')) ? referenceFolder : undefined,
  '1.9.1': 'folder' in latest ? latest.folder : undefined,
}

const reasons: Readonly<Record<Maker, string>> = {
  heddle: '',
  Debian: `${referenceFolder} is empty`,
  '1.9.1': 'missing' in latest ? latest.missing : '',
}

/** The folder that is the whole CNI_PATH when a maker's plugins are tried. */
export function folderOf(maker: Maker): string {
  const folder = folders[maker]
  if (folder === undefined) throw new Error(`No plugins of ${maker}: ${reasons[maker]}`)
  return folder
}

/** Every plugin the suite knows. */
export const subjects: readonly Subject[] = [
  ...Object.entries(ours).map(([plugin, kind]): Subject => {
    const title = plugin.startsWith('heddle') ? plugin : `heddle as ${plugin}`
    return { title, maker: 'heddle', plugin, kind }
  }),
  ...(['ptp', 'macvlan'] as const).map((kind): Subject => {
    return { title: `heddle in mode ${kind}`, maker: 'heddle', plugin: 'heddle', kind }
  }),
  ...(['Debian', '1.9.1'] as const).flatMap((maker) =>
    Object.entries(theirs).map(([plugin, kind]): Subject => {
      const missing = folders[maker] === undefined ? { missing: reasons[maker] } : {}
      return { title: `${maker} ${plugin}`, maker, plugin, kind, ...missing }
    }),
  ),
]
