/** A flag on the command line that cannot be what was meant. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** How a flag's text is read. `list` may be given several times. */
type FlagKind = 'text' | 'list' | 'number' | 'flag'

interface FlagSpec {
  readonly kind: FlagKind
  /** As text, as it would be given; absent: nothing. */
  readonly fallback?: string
  /** A word for the value, for `--help`. */
  readonly value?: string
  readonly help: string
  readonly min?: number
  readonly max?: number
}

/** Every flag of heddled, in the order of `--help`. Names and meanings are flannel's where it has them. */
export const flagSpecs = {
  store: {
    kind: 'text',
    value: 'sqlite[:FILE]|etcd|consul|zookeeper',
    help: 'where leases are kept: etcd, Consul or ZooKeeper for several machines, or a file that all daemons of this machine share (default: etcd if any --etcd-* is given, else sqlite:/var/lib/heddle/store.db)',
  },
  'etcd-endpoints': {
    kind: 'text',
    fallback: 'http://127.0.0.1:4001,http://127.0.0.1:2379',
    value: 'URLS',
    help: 'etcd end points, by comma',
  },
  'etcd-prefix': {
    kind: 'text',
    fallback: '/coreos.com/network',
    value: 'PREFIX',
    help: 'where in the store the network lives: PREFIX/config and PREFIX/subnets/',
  },
  'etcd-cafile': { kind: 'text', value: 'FILE', help: 'CA that signed etcd’s certificate' },
  'etcd-certfile': { kind: 'text', value: 'FILE', help: 'client certificate for etcd' },
  'etcd-keyfile': { kind: 'text', value: 'FILE', help: 'key of the client certificate' },
  'etcd-username': { kind: 'text', value: 'NAME', help: 'user name for etcd' },
  'etcd-password': { kind: 'text', value: 'TEXT', help: 'its password' },
  'consul-endpoints': {
    kind: 'text',
    fallback: 'http://127.0.0.1:8500',
    value: 'URLS',
    help: 'Consul agents of one datacenter, by comma',
  },
  'consul-token': {
    kind: 'text',
    value: 'TEXT',
    help: 'ACL token for Consul; it writes keys under PREFIX',
  },
  'consul-cafile': { kind: 'text', value: 'FILE', help: 'CA that signed Consul’s certificate' },
  'consul-certfile': { kind: 'text', value: 'FILE', help: 'client certificate for Consul' },
  'consul-keyfile': { kind: 'text', value: 'FILE', help: 'key of the client certificate' },
  'zookeeper-endpoints': {
    kind: 'text',
    fallback: '127.0.0.1:2181',
    value: 'HOST:PORT,...',
    help: 'ZooKeeper servers of one ensemble, by comma',
  },
  'zookeeper-username': {
    kind: 'text',
    value: 'NAME',
    help: 'user name for ZooKeeper (scheme digest); nodes are made for this user only',
  },
  'zookeeper-password': { kind: 'text', value: 'TEXT', help: 'its password' },
  'zookeeper-cafile': {
    kind: 'text',
    value: 'FILE',
    help: 'CA that signed ZooKeeper’s certificate; asks for TLS',
  },
  'zookeeper-certfile': { kind: 'text', value: 'FILE', help: 'client certificate for ZooKeeper' },
  'zookeeper-keyfile': { kind: 'text', value: 'FILE', help: 'key of the client certificate' },
  'net-config-path': {
    kind: 'text',
    value: 'FILE',
    help: 'network configuration, JSON or YAML, written to the store when it has none',
  },
  iface: {
    kind: 'list',
    value: 'NAME|ADDRESS',
    help: 'interface for traffic between hosts (repeatable; default: the default route’s)',
  },
  'iface-regex': {
    kind: 'list',
    value: 'REGEX',
    help: 'the same by a pattern for addresses, then names (repeatable)',
  },
  'iface-can-reach': {
    kind: 'text',
    value: 'ADDRESS',
    help: 'the interface by which this address is reached',
  },
  'public-ip': {
    kind: 'text',
    value: 'ADDRESS',
    help: 'IPv4 address at which other hosts reach this one (default: the interface’s)',
  },
  'public-ipv6': { kind: 'text', value: 'ADDRESS', help: 'the same for IPv6' },
  'subnet-file': {
    kind: 'text',
    value: 'FILE',
    help: 'where the plugin finds this host’s subnet (default: /run/flannel/subnet.env; with --instance NAME: /run/flannel/NAME.env)',
  },
  'subnet-lease-renew-margin': {
    kind: 'number',
    fallback: '60',
    value: 'MINUTES',
    help: 'renew the lease that long before it ends',
    min: 1,
    max: 1439,
  },
  'subnet-lease-ttl': {
    kind: 'number',
    fallback: '86400',
    value: 'SECONDS',
    help: 'how long a lease lasts when this host is gone',
    min: 1,
    max: 31_536_000,
  },
  'ip-masq': {
    kind: 'flag',
    fallback: 'false',
    help: 'masquerade traffic from containers to outside the network',
  },
  'ip-masq-fully-random-disable': {
    kind: 'flag',
    fallback: 'false',
    help: 'choose the source ports of masqueraded traffic predictably',
  },
  'iptables-forward-rules': {
    kind: 'flag',
    fallback: 'true',
    help: 'accept forwarded container traffic where the host’s firewall would drop it',
  },
  'iptables-resync': {
    kind: 'number',
    fallback: '300',
    value: 'SECONDS',
    help: 'look after the firewall rules at least that often, whatever the kernel tells of them',
    min: 1,
    max: 86_400,
  },
  'healthz-port': {
    kind: 'number',
    fallback: '0',
    value: 'PORT',
    help: 'answer /healthz, /readyz and /metrics on this TCP port (0: none)',
    min: 0,
    max: 65_535,
  },
  'healthz-ip': {
    kind: 'text',
    fallback: '127.0.0.1',
    value: 'ADDRESS',
    help: 'on this address',
  },
  instance: {
    kind: 'text',
    fallback: 'default',
    value: 'NAME',
    help: 'name of this daemon where several run on one host',
  },
  'state-dir': {
    kind: 'text',
    value: 'DIR',
    help: 'node id, MACs and last leases (default: /var/lib/heddle/INSTANCE)',
  },
  v: {
    kind: 'number',
    fallback: '0',
    value: 'N',
    help: '4 or more: log details',
    min: 0,
    max: 100,
  },
  'log-format': {
    kind: 'text',
    fallback: 'text',
    value: 'text|json',
    help: 'form of the log lines',
  },
  version: { kind: 'flag', fallback: 'false', help: 'print the version and exit' },
  help: { kind: 'flag', fallback: 'false', help: 'print this and exit' },
} as const satisfies Readonly<Record<string, FlagSpec>>

/** Flags of flannel that heddled does not have, and what to do instead. */
const refused: Readonly<Record<string, string>> = {
  'kube-subnet-mgr': 'heddled keeps leases in a store, not in Kubernetes: use --store etcd',
  'kube-api-url': 'heddled does not speak to Kubernetes: leave it out',
  'kube-annotation-prefix': 'heddled does not speak to Kubernetes: leave it out',
  'kubeconfig-file': 'heddled does not speak to Kubernetes: leave it out',
  'set-node-network-unavailable': 'heddled does not speak to Kubernetes: leave it out',
  'ip-blackhole-route': 'heddled does not make blackhole routes: leave it out',
  vmodule: 'use --v=4 for details of everything',
  log_backtrace_at: 'use --v=4 for details',
}

type FlagName = keyof typeof flagSpecs

/** The values of all flags; undefined where nothing was given and there is no default. */
export type FlagValues = {
  readonly [K in FlagName]: (typeof flagSpecs)[K] extends { kind: 'list' }
    ? readonly string[]
    : (typeof flagSpecs)[K] extends { kind: 'number' }
      ? number
      : (typeof flagSpecs)[K] extends { kind: 'flag' }
        ? boolean
        : (typeof flagSpecs)[K] extends { fallback: string }
          ? string
          : string | undefined
}

export interface ParsedFlags {
  readonly values: FlagValues
  /** Those given on the command line or in the environment. */
  readonly given: ReadonlySet<string>
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the command line as Go's flag package does (one or two dashes, the value after `=` or as
 * the next word) and, for flags not on it, the environment: `FLANNELD_` and the name in capitals.
 * @throws UsageError
 */
export function parseFlags(argv: readonly string[], env: Environment): ParsedFlags {
  const texts = new Map<string, string[]>()
  const add = (name: string, text: string): void => {
    texts.set(name, [...(texts.get(name) ?? []), text])
  }
  readCommandLine(argv, add)
  const onCommandLine = new Set(texts.keys())
  for (const name of [...Object.keys(flagSpecs), ...Object.keys(refused)]) {
    const text = env[environmentName(name)]
    if (text !== undefined && !onCommandLine.has(name)) add(name, text)
  }
  for (const [name, [text = '']] of texts) refuse(name, text)
  const values: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries<FlagSpec>(flagSpecs)) {
    values[name] = readValue(name, spec, texts.get(name))
  }
  return { values: values as FlagValues, given: new Set(texts.keys()) }
}

/** Whether a flag's value is nobody else's to know. */
export function isSecret(flag: string): boolean {
  return /password|token/.test(flag)
}

/** An environment as others may have it: without the variables that give our flags' secrets. */
export function withoutSecrets(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const secrets = new Set(Object.keys(flagSpecs).filter(isSecret).map(environmentName))
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !secrets.has(name)))
}

export function environmentName(flag: string): string {
  return `FLANNELD_${flag.toUpperCase().replaceAll('-', '_')}`
}

function readCommandLine(argv: readonly string[], add: (name: string, text: string) => void): void {
  const words = [...argv]
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const match = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(word)
    if (!match?.[1]) throw new UsageError(`unexpected argument "${word}" (--help lists the flags)`)
    const [, name, text] = match
    const spec = specOf(name)
    if (text !== undefined) add(name, text)
    else if (spec?.kind === 'flag' || (!spec && isBoolean(name))) add(name, 'true')
    else {
      const next = words.shift()
      if (next === undefined) throw new UsageError(`--${name} needs a value`)
      add(name, next)
    }
  }
}

function specOf(name: string): FlagSpec | undefined {
  if (Object.hasOwn(flagSpecs, name)) return flagSpecs[name as FlagName]
  if (Object.hasOwn(refused, name)) return undefined
  throw new UsageError(`unknown flag --${name} (--help lists the flags)`)
}

/** Of the flags that heddled does not have, those that take no value. */
function isBoolean(name: string): boolean {
  return ['kube-subnet-mgr', 'set-node-network-unavailable', 'ip-blackhole-route'].includes(name)
}

/** A flag that is off asks for nothing that we lack. */
function refuse(name: string, text: string): void {
  const advice = refused[name]
  if (advice === undefined || (isBoolean(name) && readBoolean(text) === false)) return
  throw new UsageError(`--${name} is flannel’s and not heddled’s: ${advice}`)
}

function readValue(name: string, spec: FlagSpec, texts: readonly string[] | undefined): unknown {
  const { kind, fallback } = spec
  if (kind === 'list') return texts ?? []
  const text = texts?.at(-1) ?? fallback
  if (text === undefined || kind === 'text') return text
  if (kind === 'flag') {
    const value = readBoolean(text)
    if (value === undefined) throw new UsageError(`--${name} is true or false, not "${text}"`)
    return value
  }
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = spec
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw new UsageError(`--${name} is a whole number from ${min} to ${max}, not "${text}"`)
}

/** Go's strconv.ParseBool. */
function readBoolean(text: string): boolean | undefined {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false
  return undefined
}
