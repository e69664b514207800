/**
 * Sends bytes over TCP and prints how many milliseconds it took until all had arrived.
 * `netlink-transfer.ts serve ADDRESS PORT`, ready when it prints a line;
 * `netlink-transfer.ts send ADDRESS PORT BYTES`.
 */
import { connect, createServer } from 'node:net'
import { buffer } from 'node:stream/consumers'

const [verb, host = '', port, size] = process.argv.slice(2)

if (verb === 'serve') {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume()
    socket.on('end', () => socket.end('all'))
  })
  server.listen(Number(port), host, () => process.stdout.write('ready\n'))
} else {
  const started = performance.now()
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  socket.end(Buffer.alloc(Number(size)))
  const answer = await buffer(socket)
  if (answer.toString() !== 'all') throw new Error('the connection broke')
  process.stdout.write(`${Math.round(performance.now() - started)}\n`)
}
