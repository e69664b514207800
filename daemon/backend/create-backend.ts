import { ConfigError } from '../../conf/errors.ts'
import { createAlloc } from './alloc.ts'
import type { Backend, BackendInput } from './backend.ts'
import { createExtension } from './extension.ts'
import { createHostGw } from './host-gw.ts'
import { createVxlan } from './vxlan.ts'

const backends: Readonly<Record<string, (input: BackendInput) => Backend>> = {
  vxlan: createVxlan,
  'host-gw': createHostGw,
  alloc: createAlloc,
  extension: createExtension,
}

/**
 * Makes the backend that the configuration names.
 * @throws ConfigError for one that is not there, or options or a host it cannot work with.
 */
export function createBackend(input: BackendInput): Backend {
  const { type } = input.config
  const create = Object.hasOwn(backends, type) ? backends[type] : undefined
  if (create) return create(input)
  const known = Object.keys(backends).join(', ')
  throw new ConfigError('Backend.Type', `unknown backend type: ${type} (heddled has ${known})`)
}
