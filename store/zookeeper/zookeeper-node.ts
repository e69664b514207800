/*
 * How keys and values stand in ZooKeeper: a key is a path, and a value its node's data. What an
 * operator sees and writes with zkCli.sh is the text itself, but for what could not be.
 */

/**
 * What ZooKeeper does not take in a path (PathUtils.validatePath), and `%`: they are written as in
 * a URL.
 */
const ESCAPED = /[%\p{Cc}\p{Co}\u{10000}-\u{10ffff}\ufff0-\uffff]/gu

/** Keys start with a slash; the key `/a/` is the child of `/a` without a name. */
export function pathOf(key: string): string {
  const [first, ...names] = key.toWellFormed().split('/')
  if (first !== '')
    throw new RangeError(`Cannot use ${JSON.stringify(key)}: keys start with a slash`)
  return `/${names.map(escapeName).join('/')}`
}

function escapeName(name: string, index: number): string {
  // An empty name is no name in a path, and neither is one of dots; the first is taken.
  if (name === '') return '%'
  if (name === '.' || name === '..') return name.replaceAll('.', '%2E')
  if (name === 'zookeeper' && index === 0) return '%7Aookeeper'
  return name.replace(ESCAPED, encodeURIComponent)
}

/** The key of a path; `undefined` for a path that is none of ours. */
export function keyOf(path: string): string | undefined {
  try {
    const names = path.split('/').map((name) => (name === '%' ? '' : decodeURIComponent(name)))
    const key = names.join('/')
    return pathOf(key) === path ? key : undefined
  } catch {
    return undefined
  }
}

/** The node all keys with this prefix are below. */
export function folderOf(prefix: string): string {
  const end = prefix.lastIndexOf('/')
  return end <= 0 ? '/' : pathOf(prefix.slice(0, end))
}

/** The path of a child. */
export function childOf(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 1))
}

/** First line of data with a time to live; also of data that looks as if it had one. */
const HEADER = /^#heddle v=1(?: ttl=([1-9]\d{0,11}))?\n/

export function formatData(value: string, ttlSeconds: number | undefined): Buffer {
  if (ttlSeconds !== undefined) return Buffer.from(`#heddle v=1 ttl=${ttlSeconds}\n${value}`)
  return Buffer.from(value.startsWith('#heddle ') ? `#heddle v=1\n${value}` : value)
}

/** Data without our first line, and that of a later version, is a value without a time to live. */
export function parseData(data: Buffer): { value: string; ttlSeconds?: number } {
  const text = data.toString()
  const [header, ttl] = HEADER.exec(text) ?? []
  const value = text.slice(header?.length ?? 0)
  return { value, ...(ttl !== undefined && { ttlSeconds: Number(ttl) }) }
}
