/**
 * Makes conf/generated from the schemas in conf/: a validator and the TypeScript types of each,
 * and the tree of its keys. Run-time compilation of a schema costs a plugin some 25 ms at every
 * start; generated code costs nothing that can be measured. `--check` writes nothing and fails
 * when a generated file is not what its schema gives.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Ajv } from 'ajv'
import standaloneModule from 'ajv/dist/standalone/index.js'
import { compile } from 'json-schema-to-typescript'

interface Schema {
  readonly $ref?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly definitions?: Readonly<Record<string, Schema>>
}

/** Known keys, nested; what `canonicalKeys` spells as the schema does. */
type KeyTree = { readonly [key: string]: KeyTree }

const root = join(import.meta.dirname, '..')
const confDir = join(root, 'conf')
const outDir = join(confDir, 'generated')
// The package is CommonJS with a `default` export, which Node and the types see differently.
const standalone = ((standaloneModule as { default?: unknown }).default ??
  standaloneModule) as typeof standaloneModule.default

function keyTree(schema: Schema, definitions: Readonly<Record<string, Schema>>): KeyTree {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/definitions/', '')
    return keyTree(definitions[name] ?? {}, definitions)
  }
  if (schema.items) return keyTree(schema.items, definitions)
  const properties = Object.entries(schema.properties ?? {})
  return Object.fromEntries(properties.map(([key, value]) => [key, keyTree(value, definitions)]))
}

/** `allErrors` off: the first fault is the message, and the code is smaller. */
function validatorSource(schema: Schema): string {
  const ajv = new Ajv({
    code: { source: true, esm: true, lines: true },
    inlineRefs: false,
    strict: false,
  })
  const source = standalone(ajv, ajv.compile(schema))
  if (source.includes('require(')) {
    throw new Error('The validator asks for a module at run time: use "pattern" instead of lengths')
  }
  return source
}

async function generate(file: string): Promise<Map<string, string>> {
  const name = basename(file, '.schema.json')
  const schema = JSON.parse(readFileSync(join(confDir, file), 'utf8')) as Schema
  const banner = `// Made from conf/${file} by scripts/gen-conf.ts; change the schema, not this file.\n`
  const types = await compile(structuredClone(schema) as object, name, {
    bannerComment: banner,
    format: false,
    unreachableDefinitions: false,
  })
  const keys = keyTree(schema, schema.definitions ?? {})
  return new Map([
    [`${name}.types.ts`, types],
    [`${name}.validate.js`, `${banner}${validatorSource(schema)}`],
    [
      `${name}.validate.d.ts`,
      `${banner}import type { ErrorObject } from 'ajv'\nexport function validate(data: unknown): boolean\nexport namespace validate { let errors: ErrorObject[] | null | undefined }\nexport default validate\n`,
    ],
    [
      `${name}.keys.ts`,
      `${banner}import type { KeyTree } from '../keys.ts'\n\nexport const keys: KeyTree = ${JSON.stringify(keys)}\n`,
    ],
  ])
}

/** Biome lays the files out, so that a difference is a difference in meaning. */
function format(files: ReadonlyMap<string, string>): Map<string, string> {
  const dir = mkdtempSync(join(tmpdir(), 'heddle-gen-'))
  try {
    for (const [name, text] of files) writeFileSync(join(dir, name), text)
    const biome = join(root, 'node_modules/.bin/biome')
    const config =
      '{"formatter":{"indentStyle":"space","lineWidth":100},"javascript":{"formatter":{"quoteStyle":"single","semicolons":"asNeeded"}}}'
    writeFileSync(join(dir, 'biome.json'), config)
    execFileSync(biome, ['format', '--write', '--config-path', dir, dir], { stdio: 'pipe' })
    return new Map([...files.keys()].map((name) => [name, readFileSync(join(dir, name), 'utf8')]))
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const raw = new Map<string, string>()
for (const file of readdirSync(confDir).filter((name) => name.endsWith('.schema.json'))) {
  for (const [name, text] of await generate(file)) raw.set(name, text)
}
const wanted = format(raw)
if (process.argv.includes('--check')) {
  const present = readdirSync(outDir)
  const stale = [...wanted].filter(
    ([name, text]) => !present.includes(name) || readFileSync(join(outDir, name), 'utf8') !== text,
  )
  const extra = present.filter((name) => !wanted.has(name))
  for (const name of [...stale.map(([name]) => name), ...extra]) {
    process.stderr.write(
      `conf/generated/${name} does not follow from its schema: run scripts/gen-conf.ts\n`,
    )
  }
  process.exitCode = stale.length + extra.length > 0 ? 1 : 0
} else {
  for (const [name, text] of wanted) writeFileSync(join(outDir, name), text)
}
