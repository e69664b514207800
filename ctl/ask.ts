import { request } from 'node:http'

/** The daemon did not answer; the message says why and what to do. */
export class DaemonUnreachableError extends Error {
  override readonly name = 'DaemonUnreachableError'
}

/** The daemon answered that it will not or cannot; the message is its own. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  /** The HTTP status. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** What is asked. Without a method: GET. */
export interface Question {
  readonly path: string
  readonly method?: 'POST' | 'PUT'
  /** Sent as JSON. */
  readonly body?: unknown
}

/** Longer than the daemon waits for its store. */
const TIMEOUT_MS = 30_000

/**
 * Asks the daemon on its socket and returns the JSON it answers.
 * @throws DaemonUnreachableError, RefusedError
 */
export function ask(socketPath: string, question: Question): Promise<unknown> {
  const { path, method = 'GET', body } = question
  const text = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void => {
      reject(
        new DaemonUnreachableError(`heddled does not answer on ${socketPath}: ${reason}`, {
          cause,
        }),
      )
    }
    const headers = text === undefined ? {} : { 'content-length': Buffer.byteLength(text) }
    const options = { socketPath, path, method, headers, timeout: TIMEOUT_MS, agent: false }
    const asked = request(options, (response) => {
      let answer = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        answer += chunk
      })
      response.on('error', (error) => fail(error.message, error))
      response.on('close', () => fail('it hung up in the middle of its answer'))
      response.on('end', () => {
        const { statusCode = 0 } = response
        try {
          const value: unknown = JSON.parse(answer)
          if (statusCode === 200) resolve(value)
          else reject(new RefusedError(statusCode, messageOf(value) ?? `it says ${statusCode}`))
        } catch (error) {
          fail(`it says ${statusCode} and does not speak JSON`, error)
        }
      })
    })
    asked.on('timeout', () => asked.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)))
    asked.on('error', (error) => fail(reasonOf(error), error))
    asked.end(text)
  })
}

function messageOf(answer: unknown): string | undefined {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return undefined
  return typeof answer.error === 'string' ? answer.error : undefined
}

function reasonOf(error: Error): string {
  const code = 'code' in error ? error.code : undefined
  if (code === 'ENOENT')
    return 'there is no such socket. Is it running, and is this its --instance?'
  if (code === 'ECONNREFUSED') return 'nobody listens. It seems to have ended'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied. Only root may ask'
  return error.message
}
