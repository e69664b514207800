/** The container has an interface of that name already. Nothing was changed. */
export class InterfaceExists extends Error {
  override readonly name = 'InterfaceExists'
  readonly ifname: string

  constructor(ifname: string) {
    super(`container veth name provided (${ifname}) already exists`)
    this.ifname = ifname
  }
}

/** Something on the host is in the way, such as a bridge with another address. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError'
  /** The object that is in the way. */
  readonly object: string
  readonly details: string

  constructor(object: string, message: string, advice: string) {
    super(message)
    this.object = object
    this.details = advice
  }
}

/** CHECK found the container other than ADD left it. */
export class CheckFailed extends Error {
  override readonly name = 'CheckFailed'
}

/** Whether the kernel refused for having no nftables: then nothing of the kind is there either. */
export function lacksNftables(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'EOPNOTSUPP' || code === 'EPROTONOSUPPORT' || code === 'EINVAL'
}
