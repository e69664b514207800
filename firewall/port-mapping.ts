/** The transport protocols that a port can be mapped for. */
export type Protocol = 'tcp' | 'udp' | 'sctp'

/** A port of the host that leads to one of the container. Ports are 1 to 65535. */
export interface PortMapping {
  readonly protocol: Protocol
  readonly hostPort: number
  readonly containerPort: number
  /**
   * The host's address it holds for, in canonical text; `0.0.0.0` and `::` stand for every one of
   * their family; absent for every address of both.
   */
  readonly hostIp?: string
}
