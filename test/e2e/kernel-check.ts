/**
 * Holds a host's kernel against the leases of a flannel network: what `ip -j` and `bridge -j` show,
 * against what flannel documents. It knows nothing of how heddle works and imports none of it.
 */

/** A lease as the store holds it. */
export interface StoredLease {
  /** `10.244.5.0-24` */
  readonly key: string
  readonly value: {
    readonly PublicIP: string
    readonly BackendData?: { readonly VtepMAC: string }
  }
}

/** What the commands printed. */
export interface Dumps {
  /** `ip -4 -j route show table main` */
  readonly routes: string
  /** `ip -4 -j neigh show dev flannel.1 nud permanent` */
  readonly neighbours: string
  /** `bridge -j fdb show dev flannel.1` */
  readonly fdb: string
}

interface Route {
  readonly dst: string
  readonly gateway?: string
  readonly dev: string
  readonly protocol?: string
  readonly flags?: readonly string[]
}

function parse<T>(json: string): T[] {
  return JSON.parse(json.trim() || '[]') as T[]
}

/** Expected and found as sets of lines: what is missing and what is too much. */
function compare(what: string, expected: readonly string[], found: readonly string[]): string[] {
  return [
    ...expected.filter((line) => !found.includes(line)).map((line) => `missing ${what}: ${line}`),
    ...found.filter((line) => !expected.includes(line)).map((line) => `surplus ${what}: ${line}`),
    ...found
      .filter((line, index) => found.indexOf(line) !== index)
      .map((line) => `doubled ${what}: ${line}`),
  ]
}

/**
 * Everything that is not as it should be: entries missing, entries too many. `others` are routes
 * into the network that are not the daemon's, as this prints them.
 */
export function checkVxlan(
  leases: readonly StoredLease[],
  dumps: Dumps,
  others: readonly string[],
): string[] {
  const subnets = leases.map(({ key, value }) => {
    const [base = '', length = ''] = key.split('-')
    return { base, length, host: value.PublicIP, mac: value.BackendData?.VtepMAC ?? 'no MAC' }
  })
  const neighbours = parse<{ dst: string; lladdr: string }>(dumps.neighbours)
  const fdb = parse<{ mac: string; dst: string }>(dumps.fdb)
  return [
    ...compare(
      'route',
      [
        ...subnets.map(
          ({ base, length }) => `${base}/${length} via ${base} dev flannel.1 proto 104 onlink`,
        ),
        ...others,
      ],
      routesInto(dumps.routes),
    ),
    ...compare(
      'neighbour',
      subnets.map(({ base, mac }) => `${base} ${mac}`),
      neighbours.map(({ dst, lladdr }) => `${dst} ${lladdr}`),
    ),
    ...compare(
      'FDB entry',
      subnets.map(({ host, mac }) => `${mac} ${host}`),
      fdb.map(({ mac, dst }) => `${mac} ${dst}`),
    ),
  ]
}

/** The same for host-gw, where a lease is one route through its host. */
export function checkHostGw(
  leases: readonly StoredLease[],
  dumps: Pick<Dumps, 'routes'>,
  others: readonly string[],
): string[] {
  const expected = leases.map(
    ({ key, value }) => `${key.replace('-', '/')} via ${value.PublicIP} dev eth0 proto 104`,
  )
  return compare('route', [...expected, ...others], routesInto(dumps.routes))
}

/** The routes to 10.244.0.0/16, a line each. */
function routesInto(json: string): string[] {
  return parse<Route>(json)
    .filter(({ dst }) => dst.startsWith('10.244.'))
    .map(({ dst, gateway, dev, protocol = 'boot', flags = [] }) =>
      [
        gateway === undefined ? dst : `${dst} via ${gateway}`,
        `dev ${dev} proto ${protocol}`,
        ...(flags.includes('onlink') ? ['onlink'] : []),
      ].join(' '),
    )
}
