import { randomUUID } from 'node:crypto'
import type { Lease } from './lease.ts'
import type { LeaseStore } from './lease-store.ts'

/**
 * A challenge is a question in somebody's lease, its data untouched: whoever lives there takes it
 * out again. It asks either whether a node id is in use, or tells the holder that the subnet was
 * ours.
 */
const FORMER = 'was of node '

/** A question whether anybody lives under the lease's node id. */
export function newChallenge(): string {
  return randomUUID()
}

/** The node that had the subnet before its present holder; undefined for a question of the other kind. */
export function readChallenge(challenge: string): string | undefined {
  return challenge.startsWith(FORMER) ? challenge.slice(FORMER.length) : undefined
}

/** Tells the holder of our subnet that it was ours, if it is a heddled: flanneld reads no questions. */
export async function tellHolder(rival: Lease, nodeId: string, leases: LeaseStore): Promise<void> {
  const { attrs } = rival
  if (attrs.nodeId === undefined || attrs.challenge !== undefined) return
  await leases.put(rival, { ...attrs, challenge: `${FORMER}${nodeId}` })
}
