import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * Where a connection is cut, counting what comes through the proxy in pieces: at a request, which
 * the server never gets; at a reply, which the client never gets; or right behind that.
 */
export interface Cut {
  readonly where: 'before the request' | 'before the reply' | 'after the reply'
  /** From 1. */
  readonly piece: number
}

export const cutPlaces = ['before the request', 'before the reply', 'after the reply'] as const

/** A way to a server of loopback that can be cut. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number
  /** Cuts one connection; begins to count anew. */
  cut(cut: Cut): void
  /** Whether the last `cut` has been done. */
  readonly isDone: boolean
  /** Keeps the next piece to the server that matches, and what comes after it; resolves then. */
  hold(matches: (piece: Buffer) => boolean): Promise<void>
  /** Sends on what was held. */
  release(): void
  /** While closed all connections are cut, and none is taken. */
  close(): void
  open(): void
}

export async function startProxy(target: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  let plan: Cut | undefined
  let isClosed = false
  const seen = { request: 0, reply: 0 }
  let holding:
    | { readonly matches: (piece: Buffer) => boolean; readonly tell: () => void }
    | undefined
  const heldBack: (() => void)[] = []

  /** Whether this piece is the one to cut at. */
  const isDue = (kind: 'request' | 'reply', piece: number) =>
    plan !== undefined && plan.piece === piece && plan.where.endsWith(kind)

  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', () => {
        sockets.delete(socket)
        end()
      })
    }
    if (isClosed) end()
    client.on('data', (chunk: Buffer) => {
      seen.request += 1
      if (heldBack.length > 0 || holding?.matches(chunk)) {
        heldBack.push(() => upstream.write(chunk))
        holding?.tell()
        return
      }
      if (!isDue('request', seen.request)) return void upstream.write(chunk)
      plan = undefined
      end()
    })
    upstream.on('data', (chunk) => {
      seen.reply += 1
      if (!isDue('reply', seen.reply)) return void client.write(chunk)
      const isDelivered = plan?.where === 'after the reply'
      plan = undefined
      if (isDelivered) client.write(chunk, end)
      else end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const destroyAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut(cut) {
      plan = cut
      seen.request = 0
      seen.reply = 0
    },
    get isDone() {
      return plan === undefined
    },
    hold(matches) {
      const { promise, resolve } = Promise.withResolvers<void>()
      holding = { matches, tell: resolve }
      return promise
    },
    release() {
      holding = undefined
      for (const send of heldBack.splice(0)) send()
    },
    close() {
      isClosed = true
      destroyAll()
    },
    open() {
      isClosed = false
    },
    async [Symbol.asyncDispose]() {
      destroyAll()
      server.close()
      await once(server, 'close')
    },
  }
}
