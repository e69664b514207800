import type { ConfigRequest, ReleaseRequest, ReserveRequest } from '../../conf/admin.ts'
import type { Logger } from '../../log/logger.ts'
import type { Store } from '../../store/store.ts'
import type { LeaseStore } from '../lease/lease-store.ts'
import type { SubnetManager } from '../lease/subnet-manager.ts'
import { type Answer, RequestError, type Routes } from '../status/http-server.ts'
import type { StatusBoard } from '../status/status-board.ts'
import { judge, readStored, writeConfig } from './admin-config.ts'
import { listLeases, release, reserve } from './admin-leases.ts'

/** What an operator's requests are carried out with. */
export interface AdminTools {
  readonly store: Store
  readonly storePrefix: string
  readonly isLocal: boolean
  readonly leases: LeaseStore
  readonly manager: Pick<SubnetManager, 'current' | 'release'>
  readonly board: Pick<StatusBoard, 'inForce'>
  readonly log: Logger
}

/**
 * What an operator may ask through the daemon: to see and change leases and the network's
 * configuration in the store. Every change is a compare-and-set, and is logged.
 */
export function adminRoutes(tools: AdminTools): Routes {
  return {
    '/leases': { GET: async () => ok(await listLeases(tools)) },
    '/leases/release': {
      POST: async (body) => ok(await release(tools, readRequest(body, releaseShape))),
    },
    '/leases/reserve': {
      POST: async (body) => ok(await reserve(tools, readRequest(body, reserveShape))),
    },
    '/config': {
      GET: async () => ok(await readStored(tools)),
      PUT: async (body) => ok(await writeConfig(tools, readRequest(body, configShape))),
    },
    '/config/judge': {
      POST: async (body) => ok(await judge(tools, readRequest(body, configShape))),
    },
  }
}

function ok(body: unknown): Answer {
  return { status: 200, body }
}

/** How to tell that a key's value is what is wanted. */
type Shape<T> = Readonly<Record<keyof T, (value: unknown) => boolean>>

const isText = (value: unknown): boolean => typeof value === 'string'
const isTextOrAbsent = (value: unknown): boolean => value === undefined || isText(value)

const releaseShape: Shape<ReleaseRequest> = { subnet: isTextOrAbsent }
const reserveShape: Shape<ReserveRequest> = {
  subnet: isText,
  publicIPs: (value) => value === undefined || (Array.isArray(value) && value.every(isText)),
  nodeId: isTextOrAbsent,
}
const configShape: Shape<ConfigRequest> = {
  text: isText,
  revision: (value) => value === undefined || Number.isSafeInteger(value),
}

/** Reads a request's JSON. Throws RequestError for anything but an object of that shape. */
function readRequest<T>(body: string, shape: Shape<T>): T {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw new RequestError(400, 'the request is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RequestError(400, 'the request is not a JSON object')
  }
  const values = value as Readonly<Record<string, unknown>>
  for (const key of Object.keys(values)) {
    if (!Object.hasOwn(shape, key)) throw new RequestError(400, `unknown key "${key}"`)
  }
  for (const [key, isFine] of Object.entries<(value: unknown) => boolean>(shape)) {
    if (!isFine(values[key]))
      throw new RequestError(400, `"${key}" is missing or not as it must be`)
  }
  return value as T
}
