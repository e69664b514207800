import { once } from 'node:events'
import { createServer } from 'node:net'
import { promisify } from 'node:util'

/**
 * Starts something with ports that nobody uses just now; with others when it does not start, since
 * somebody may have been quicker.
 */
export async function withFreePorts<T>(
  count: number,
  start: (ports: readonly number[]) => Promise<T>,
): Promise<T> {
  try {
    return await start(await freePorts(count))
  } catch {
    return start(await freePorts(count))
  }
}

/** Ports of 127.0.0.1 that nobody listened on just now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  })
  await Promise.all(servers.map((server) => promisify(server.close.bind(server))()))
  return ports
}
