import { request } from 'node:http'

/** The daemon did not answer; the message says why and what to do. */
export class DaemonUnreachableError extends Error {
  override readonly name = 'DaemonUnreachableError'
}

const TIMEOUT_MS = 5_000

/** Asks the daemon on its socket and returns the JSON it answers. Throws DaemonUnreachableError. */
export function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void => {
      reject(
        new DaemonUnreachableError(`heddled does not answer on ${socketPath}: ${reason}`, {
          cause,
        }),
      )
    }
    const asked = request({ socketPath, path, timeout: TIMEOUT_MS, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        if (response.statusCode !== 200)
          return fail(`it says ${response.statusCode}: ${text.trim()}`)
        try {
          resolve(JSON.parse(text))
        } catch (error) {
          fail('it does not speak JSON', error)
        }
      })
    })
    asked.on('timeout', () => asked.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)))
    asked.on('error', (error) => fail(reasonOf(error), error))
    asked.end()
  })
}

function reasonOf(error: Error): string {
  const code = 'code' in error ? error.code : undefined
  if (code === 'ENOENT')
    return 'there is no such socket. Is it running, and is this its --instance?'
  if (code === 'ECONNREFUSED') return 'nobody listens. It seems to have ended'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied. Only root may ask'
  return error.message
}
