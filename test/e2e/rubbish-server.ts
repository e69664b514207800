/**
 * What may listen where a store should be, run under Node inside a namespace.
 * `rubbish-server.ts SEED PORT ADDRESS ADDRESS ADDRESS`: the first answers gRPC calls, but with
 * messages of random bytes; the second sends random bytes to whoever connects; the third is a web server.
 */
import { createServer as createWebServer } from 'node:http'
import { createServer as createGrpcServer, type ServerHttp2Stream } from 'node:http2'
import { createServer } from 'node:net'

const [seed = '1', port = '', grpc = '', bytes = '', web = ''] = process.argv.slice(2)
let state = Number(seed)

/** A whole number below `limit`: the same ones for the same seed (mulberry32). */
function random(limit: number): number {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) % limit
}

function randomBytes(most: number): Buffer {
  return Buffer.from(Array.from({ length: random(most) }, () => random(256)))
}

/** A message after gRPC's five bytes: a flag and the length, which now and then is a lie. */
function frame(): Buffer {
  // Without a byte it is a message in which every field has its default.
  const message = random(3) === 0 ? Buffer.alloc(0) : randomBytes(300)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(random(10) === 0 ? random(2 ** 31) : message.length, 1)
  return Buffer.concat([head, message])
}

function answer(stream: ServerHttp2Stream): void {
  // Who hangs up is its own affair.
  stream.on('error', () => {})
  stream.resume()
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    if (!stream.destroyed)
      stream.sendTrailers({ 'grpc-status': String(random(4) === 0 ? random(99) : 0) })
  })
  stream.end(frame())
}

createGrpcServer()
  .on('stream', answer)
  .on('sessionError', () => {})
  .listen(Number(port), grpc)
createServer((socket) => {
  socket.on('error', () => {})
  socket.end(randomBytes(2_000))
}).listen(Number(port), bytes)
createWebServer((_, response) => response.end('<html>It works!</html>')).listen(
  Number(port),
  web,
  () => process.stdout.write('ready\n'),
)
