/** Runs of the plugin that something is wrong with, made from ones that work. */
import fc from 'fast-check'
import { keys } from '../../conf/generated/net-conf.keys.ts'
import type { KeyTree } from '../../conf/keys.ts'
import { type Base, bases } from './base-confs.ts'
import { hostileKeys, hostileValues, hostileVariables } from './hostile.ts'
import { type JsonTree, type Place, placesOf, toText, toTree } from './json-tree.ts'

export type FuzzVerb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION' | 'add' | ''

/** What is done to one place of a configuration. `at` and `other` choose places, whatever there are. */
interface Mutation {
  readonly how: (typeof hows)[number]
  readonly at: number
  readonly other: number
  /** JSON. */
  readonly value: string
  readonly key: string
}

const hows = [
  'replace',
  'remove',
  'case',
  'twice',
  'insert',
  'insert known',
  'copy',
  'wrap',
  'rename',
  'nest',
] as const

/** What is done to the text. */
interface TextMutation {
  readonly how: 'cut' | 'byte' | 'append' | 'mark'
  readonly at: number
  readonly byte: number
}

export interface FuzzCase {
  readonly base: Base
  readonly verb: FuzzVerb
  readonly mutations: readonly Mutation[]
  readonly text?: TextMutation | undefined
  readonly variables: Readonly<Record<string, string>>
}

/** All keys that the schema knows, at any depth. */
const knownKeys = [
  ...new Set(namesIn(keys)),
  'hostPort',
  'ingressRate',
  'snat',
  'cni.dev/attachments',
]

function namesIn(tree: KeyTree): string[] {
  return Object.entries(tree).flatMap(([name, below]) => [name, ...namesIn(below)])
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  how: fc.constantFrom(...hows),
  at: fc.nat(200),
  other: fc.nat(200),
  value: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...hostileValues) },
    { weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
    { weight: 1, arbitrary: fc.string().map((text) => JSON.stringify(text)) },
  ),
  key: fc.oneof(fc.constantFrom(...knownKeys), fc.constantFrom(...hostileKeys)),
})

const textMutation: fc.Arbitrary<TextMutation> = fc.record({
  how: fc.constantFrom('cut', 'byte', 'append', 'mark'),
  at: fc.nat(2000),
  byte: fc.integer({ min: 0, max: 255 }),
})

const variableNames = [
  'CNI_CONTAINERID',
  'CNI_NETNS',
  'CNI_IFNAME',
  'CNI_PATH',
  'CNI_ARGS',
  'CNI_NETNS_OVERRIDE',
] as const

const variables: fc.Arbitrary<Record<string, string>> = fc
  .array(fc.tuple(fc.constantFrom(...variableNames), fc.constantFrom(...hostileVariables)), {
    maxLength: 2,
  })
  .map((pairs) => Object.fromEntries(pairs))

/** Most of them an ADD with a small change: much is wrong with few of those that come in practice. */
export const fuzzCase: fc.Arbitrary<FuzzCase> = fc.record({
  base: fc.constantFrom(...bases),
  verb: fc.oneof(
    { weight: 20, arbitrary: fc.constant('ADD') },
    { weight: 6, arbitrary: fc.constantFrom('DEL', 'CHECK', 'GC') },
    { weight: 1, arbitrary: fc.constantFrom('STATUS', 'VERSION', 'add', '') },
  ),
  mutations: fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 5, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.array(mutation, { minLength: 2, maxLength: 5 }) },
  ),
  text: fc.oneof(
    { weight: 20, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: textMutation },
  ),
  variables: fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: variables },
  ),
})

/** The base as a verb gets it from a runtime: with the result of its ADD, or the list for GC. */
export function baseFor(run: FuzzCase, prevResult: unknown): Base {
  const { base, verb } = run
  const more = {
    ...((verb === 'GC' || verb === 'STATUS') && { cniVersion: '1.1.0' }),
    ...(verb === 'GC' && { 'cni.dev/valid-attachments': [], 'cni.dev/attachments': [] }),
    ...((verb === 'CHECK' || verb === 'DEL') && prevResult !== undefined && { prevResult }),
  }
  return { ...base, conf: { ...base.conf, ...more } }
}

/** The standard input of a case. */
export function stdinOf({ base, mutations, text }: Omit<FuzzCase, 'verb' | 'variables'>): Buffer {
  const tree = toTree(base.conf)
  for (const one of mutations) mutate(tree, one)
  const bytes = Buffer.from(toText(tree))
  return text ? mutateText(bytes, text) : bytes
}

function mutate(tree: JsonTree, mutation: Mutation): void {
  const places = placesOf(tree)
  const place = places[mutation.at % Math.max(places.length, 1)]
  if (!place) return
  const { how } = mutation
  if (how === 'remove') place.remove()
  else if (how === 'insert' || how === 'insert known') insert(tree, place, mutation)
  else if (how === 'case' || how === 'rename' || how === 'twice') mutateKey(place, mutation)
  else place.set(otherValue(place, places, mutation))
}

function otherValue(
  place: Place,
  places: readonly Place[],
  { how, other, value }: Mutation,
): JsonTree {
  const raw: JsonTree = { kind: 'raw', text: value }
  if (how === 'copy') return copyOf(places[other % places.length]?.get() ?? raw)
  if (how === 'wrap') return { kind: 'array', items: [place.get()] }
  return how === 'nest' ? { kind: 'raw', text: nested(other) } : raw
}

function insert(tree: JsonTree, { entry }: Place, { how, at, other, value, key }: Mutation): void {
  const into = entry?.of ?? (tree.kind === 'object' ? tree.entries : [])
  const name = how === 'insert' ? key : (knownKeys[other % knownKeys.length] ?? key)
  into.splice(at % (into.length + 1), 0, [name, { kind: 'raw', text: value }])
}

function mutateKey({ entry }: Place, { how, other, value, key }: Mutation): void {
  const { of = [], at = 0 } = entry ?? {}
  const found = of[at]
  if (!found) return
  const [name, held] = found
  if (how === 'case') of[at] = [other % 2 ? name.toUpperCase() : flipCase(name, other), held]
  else if (how === 'rename') of[at] = [key, held]
  else of.splice(at + (other % 2), 0, [flipCase(name, other % 3), { kind: 'raw', text: value }])
}

/** The name with one letter in the other case; unchanged for 0. */
function flipCase(name: string, at: number): string {
  if (at === 0) return name
  const place = at % name.length
  const letter = name.charAt(place)
  const flipped = letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()
  return name.slice(0, place) + flipped + name.slice(place + 1)
}

function copyOf(tree: JsonTree): JsonTree {
  return { kind: 'raw', text: toText(tree) }
}

function nested(depth: number): string {
  const levels = depth * 50
  return depth % 2
    ? `${'['.repeat(levels)}${']'.repeat(levels)}`
    : `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
}

function mutateText(bytes: Buffer, { how, at, byte }: TextMutation): Buffer {
  const place = at % (bytes.length + 1)
  const one = Buffer.from([byte])
  if (how === 'cut') return bytes.subarray(0, place)
  if (how === 'append') return Buffer.concat([bytes, one, Buffer.from('{}')])
  if (how === 'mark') return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes])
  return Buffer.concat([bytes.subarray(0, place), one, bytes.subarray(place)])
}
