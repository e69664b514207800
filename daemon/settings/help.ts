import { flagSpecs } from './flags.ts'

const WIDTH = 100
const INDENT = 8

/** What `heddled --help` prints. */
export function helpText(): string {
  const lines = [
    'usage: heddled [flags]',
    '       heddled cleanup [flags]     removes from this host what it made (cleanup --help)',
    '',
    'Leases this host a subnet of the network in a store, and keeps the kernel’s routes to the other',
    'hosts’ subnets. Stopping it disturbs no traffic. Each flag may also come from the environment:',
    '--etcd-endpoints from FLANNELD_ETCD_ENDPOINTS, and so on.',
    '',
  ]
  for (const [name, spec] of Object.entries(flagSpecs)) {
    const value = 'value' in spec ? ` ${spec.value}` : ''
    const fallback =
      'fallback' in spec && spec.fallback !== 'false' ? ` (default ${spec.fallback})` : ''
    lines.push(`  --${name}${value}`, ...wrap(spec.help + fallback))
  }
  return `${lines.join('\n')}\n`
}

function wrap(text: string): string[] {
  const lines: string[] = []
  let line = ' '.repeat(INDENT)
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH) {
      lines.push(line)
      line = ' '.repeat(INDENT)
    }
    line += line.trim() === '' ? word : ` ${word}`
  }
  return [...lines, line]
}
