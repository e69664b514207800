/**
 * To be evaluated before anything that imports `#fs` is: from then on that is `rooted-fs.ts`. What
 * needs it must be imported dynamically, since static imports are found before any of them runs.
 */
import { registerHooks } from 'node:module'
import { wrapped } from './rooted-fs.ts'

const rooted = new URL('rooted-fs.ts', import.meta.url).href
const url = 'heddle-fuzz:fs'
/** A module's exports have to be named one by one. */
const source = `import { wrapped } from '${rooted}'
export const { ${Object.keys(wrapped).join(', ')} } = wrapped`

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '#fs' ? { url, shortCircuit: true } : next(specifier, context),
  load: (wanted, context, next) =>
    wanted === url ? { format: 'module', source, shortCircuit: true } : next(wanted, context),
})
