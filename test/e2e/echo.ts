/**
 * Both ends of a conversation for tests of the network, run under Node inside a namespace.
 * `echo.ts serve NAME ADDRESS PORT...` answers on each port, TCP and UDP, with `NAME sees SOURCE`;
 * `echo.ts ask tcp|udp ADDRESS PORT [SOURCE-PORT]` prints the answer, or `refused`, or `silence`
 * when a second brought none.
 */
import { createSocket } from 'node:dgram'
import { createConnection, createServer, isIPv6 } from 'node:net'

const [verb, ...words] = process.argv.slice(2)
if (verb === 'serve') serve(words)
else await ask(words)

function serve([name = '', address = '', ...ports]: readonly string[]): void {
  for (const port of ports) {
    createServer((socket) => {
      // A client that has gone already is its own affair.
      socket.on('error', () => {})
      socket.end(`${name} sees ${plain(socket.remoteAddress)}`)
    }).listen(Number(port), address)
    const udp = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4' })
    udp.on('message', (_, from) => {
      udp.send(`${name} sees ${plain(from.address)}`, from.port, from.address)
    })
    udp.bind(Number(port), address, () => process.stdout.write('ready\n'))
  }
}

/** IPv4 as itself where the socket is of both families. */
function plain(address = ''): string {
  return address.replace(/^::ffff:/, '')
}

async function ask(words: readonly string[]): Promise<void> {
  const patience = new Promise<string>((resolve) => setTimeout(resolve, 1000, 'silence'))
  const answer = words[0] === 'tcp' ? askTcp(words) : askUdp(words)
  process.stdout.write(await Promise.race([answer, patience]))
  process.exit()
}

function askTcp([, host = '', port]: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = createConnection({ host, port: Number(port) })
    socket.on('data', (data) => (text += data.toString()))
    socket.on('end', () => resolve(text))
    socket.on('error', (error) => resolve(outcome(error)))
  })
}

function askUdp([, host = '', port, source = '0']: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    socket.on('message', (data) => resolve(data.toString()))
    socket.on('error', (error) => resolve(outcome(error)))
    socket.bind(Number(source), () => {
      socket.connect(Number(port), host, () => socket.send('?'))
    })
  })
}

function outcome(error: NodeJS.ErrnoException): string {
  return error.code === 'ECONNREFUSED' ? 'refused' : `${error.code}`
}
