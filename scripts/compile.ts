import { join } from 'node:path'
import { execa } from 'execa'

const root = join(import.meta.dirname, '..')

/** Our names to Bun's. Baseline runs on every x86-64; musl needs libstdc++ on the host. */
export const targets: Readonly<Record<string, string>> = {
  'linux-x64': 'bun-linux-x64-baseline',
  'linux-arm64': 'bun-linux-arm64',
  'linux-x64-musl': 'bun-linux-x64-musl-baseline',
  'linux-arm64-musl': 'bun-linux-arm64-musl',
}

/** Compiles one TypeScript program into one executable file for a key of `targets`. */
export async function compile(entry: string, outfile: string, target: string): Promise<void> {
  // This machine's base executable comes with the npm packages, checked against the lockfile; Bun fetches others.
  const local = join(root, 'node_modules/@oven/bun-linux-x64-baseline/bin/bun')
  const flags = [
    // Split, or a plugin would read the daemon's code at every start: 5 ms of it.
    `build --compile --bytecode --splitting --format=esm --minify --target=${targets[target] ?? ''}`,
    '--no-compile-autoload-dotenv --no-compile-autoload-bunfig',
    '--no-compile-autoload-tsconfig --no-compile-autoload-package-json',
    // A plugin is over before compiled code could pay off; starting the compiler's thread costs it
    // up to 2 ms. Daemons ask for the usual policy when they start (sys/jit.ts).
    '--compile-jit-policy=1000',
  ].flatMap((line) => line.split(' '))
  const base = target === 'linux-x64' ? [`--compile-executable-path=${local}`] : []
  await execa(
    join(root, 'node_modules/.bin/bun'),
    [...flags, ...base, entry, '--outfile', outfile],
    {
      cwd: root,
      stdout: 'ignore',
      stderr: ['pipe'],
    },
  )
}

/** The target that runs on this machine. */
export function hostTarget(): string {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
    throw new Error(`Cannot build for ${process.platform}-${process.arch}: pass --target`)
  }
  return `linux-${process.arch}`
}
