/** What the daemon's socket takes and answers besides `GET /status`; all JSON. */

/** `GET /leases`: what the store holds now. */
export interface LeasesAnswer {
  readonly leases: readonly StoredLease[]
}

export interface StoredLease {
  /** The last part of its key in the store. */
  readonly key: string
  /** CIDRs, IPv4 first. */
  readonly subnets: readonly string[]
  readonly publicIPs: readonly string[]
  readonly backend: string
  readonly nodeId?: string
  /** It has no end: an operator reserved it. */
  readonly reserved: boolean
  /** This daemon's own. */
  readonly own: boolean
  /** When it ends unless renewed, ISO 8601, UTC; only where the store tells. */
  readonly expires?: string
  /** Its value cannot be read, and why not is in the daemon's log. */
  readonly unreadable?: true
}

/** `POST /leases/release`. Without a subnet: the daemon's own lease. */
export interface ReleaseRequest {
  /** A CIDR, two with a comma between them for both families, or a key. */
  readonly subnet?: string
}

export interface ReleaseAnswer {
  readonly subnets: readonly string[]
  /** Who had it. */
  readonly holder: string
  /** It was the daemon's own, which ends now. */
  readonly own: boolean
  readonly reserved: boolean
}

/** `POST /leases/reserve`. With neither holder it is kept from everybody. */
export interface ReserveRequest {
  readonly subnet: string
  readonly publicIPs?: readonly string[]
  readonly nodeId?: string
}

export interface ReserveAnswer {
  readonly subnets: readonly string[]
  readonly holder: string
  /** It was a lease of that holder, and has no end now. */
  readonly wasHeld: boolean
}

/** `GET /config`. Without `text` the store has none. */
export interface ConfigAnswer {
  readonly key: string
  readonly text?: string
  /** What `ConfigRequest.revision` wants. */
  readonly revision?: number
}

/** `POST /config/judge` and `PUT /config`. */
export interface ConfigRequest {
  readonly text: string
  /** For PUT: what was read; absent when there was none. */
  readonly revision?: number
}

/** What daemons would do with a configuration, by what this one works with and who holds what. */
export interface ConfigVerdict {
  /** `first`: there is none yet. `live`: taken without a restart. */
  readonly kind: 'same' | 'live' | 'refused' | 'first'
  /** Why it is refused. */
  readonly reason?: string
  /** What is odd about it. */
  readonly warnings: readonly string[]
}

/** Every status but 200. */
export interface ErrorAnswer {
  readonly error: string
}
