import type { AttachmentRecord, LinkRecord } from '../../conf/attachment-record.ts'
import type { Connection } from '../../netlink/connection.ts'
import type { Netns } from '../../sys/netns.ts'
import type { Call } from '../call.ts'
import type { CniArgs } from '../protocol/args.ts'
import type { CniResult } from '../protocol/result.ts'
import type { AttachmentKey } from '../stable-names.ts'
import type { AttachConf, Reader } from '../target/attach-conf.ts'
import type { Target } from '../target/target.ts'
import type { Undo } from '../undo.ts'
import type { Endpoint } from './plan.ts'

/** What one ADD works with; all of it is opened before anything is changed. */
export interface Site<Conf extends AttachConf = AttachConf> {
  readonly call: Call
  readonly key: AttachmentKey
  readonly target: Target
  readonly conf: Conf
  readonly netns: Netns
  /** Connections to the host's rtnetlink and to the container's. */
  readonly host: Connection
  readonly inside: Connection
}

/** What is to be made, with its record written; `undo` takes it back. */
export interface Work {
  readonly endpoint: Endpoint
  readonly record: AttachmentRecord
  readonly undo: Undo
}

/** What was made. */
export interface Attached {
  readonly result: CniResult
  /** The host's interface towards the container, and its end of the container's link. */
  readonly hostLink: string
  readonly hostVeth: string
}

/** A way to attach a container. ADD calls these in this order. */
export interface Mode<Conf extends AttachConf, Found> {
  /** @throws ConfigError, UnsupportedFieldError; CniError when the version cannot print the result. */
  readonly read: (target: Target, args: CniArgs, call: Reader) => Conf
  /** Looks at the host before anything is changed. @throws for what is in the way. */
  readonly inspect: (site: Site<Conf>) => Found
  /** What the record tells of the link. */
  readonly plan: (site: Site<Conf>, found: Found, endpoint: Endpoint) => LinkRecord
  /** Makes the interface and configures it. Every step leaves in `undo` how to take it back. */
  readonly attach: (site: Site<Conf>, found: Found, work: Work) => Attached
}
