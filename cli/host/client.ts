/** The command line's side of the gateway's API: one bounded HTTP exchange over the unix socket. */

import { request } from 'node:http'
import { CliError } from '../ui/output.ts'
import { howToRestart, howToStart, isSystemd, itsLog } from './service.ts'

/** A status page of 10,000 assignments takes tens of milliseconds; longer than this is a gateway that hangs. */
const TIMEOUT_MS = 3000
const MAX_BODY_BYTES = 64 << 20

/** Where the gateway is asked, and the configuration that says so. */
export interface ApiPlace {
  readonly socket: string
  readonly config?: string
}

/** `denied`: it may run, but this user may not ask it; `hangs`: it accepted the request and does not answer. */
type Silence = 'down' | 'denied' | 'hangs'

const wayOut = (silence: Silence, config: string | undefined): string => {
  if (silence === 'denied') return 'run it with sudo, or let a group in: api.group in flatnet.yaml'
  if (silence === 'hangs')
    return `again, if this host is busy; else its log (${itsLog()}), then ${howToRestart(config)}`
  return `${isSystemd() ? 'systemctl status flatnet-gateway says why; ' : ''}start it: ${howToStart(config)}`
}

/** The gateway did not answer; what is on disk still holds. */
export class GatewayDownError extends CliError {
  readonly silence: Silence
  constructor({ socket, config }: ApiPlace, reason: string, silence: Silence) {
    super(`the gateway does not answer on ${socket}: ${reason}`, wayOut(silence, config))
    this.silence = silence
  }
}

function reasonOf(err: NodeJS.ErrnoException): string {
  if (err.code === 'ENOENT') return 'no such socket (it is not running)'
  if (err.code === 'ECONNREFUSED') return 'nobody listens (it was killed)'
  if (err.code === 'EACCES') return 'permission denied'
  return err.message
}

interface Asked {
  readonly api: ApiPlace
  readonly path: string
  readonly timeoutMs: number
  /** Sent by POST; undefined: GET. */
  readonly json?: unknown
}

function exchange({ api, path, timeoutMs, json }: Asked): Promise<{ status: number; body: string }> {
  const body = json === undefined ? undefined : JSON.stringify(json)
  const method = body === undefined ? 'GET' : 'POST'
  const headers = {
    host: 'flatnet',
    connection: 'close',
    ...(body !== undefined && {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }),
  }
  return new Promise((done, fail) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const down = (err: NodeJS.ErrnoException): void => {
      const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(err)
      const silence = signal.aborted ? 'hangs' : err.code === 'EACCES' ? 'denied' : 'down'
      fail(new GatewayDownError(api, reason, silence))
    }
    const req = request({ socketPath: api.socket, path, method, signal, headers }, (res) => {
      let text = ''
      res.setEncoding('utf8')
      res.on('data', (chunk: string) => {
        text += chunk
        if (text.length > MAX_BODY_BYTES) req.destroy(new Error('the answer is too long'))
      })
      res.on('error', down)
      res.on('end', () => done({ status: res.statusCode ?? 0, body: text }))
    })
    req.on('error', down)
    req.end(body)
  })
}

/** The JSON of `GET path`. @throws {GatewayDownError} @throws {CliError} when the gateway refuses */
// biome-ignore lint/suspicious/noExplicitAny: what the API answers is typed where it is used
export async function apiGet<T = any>(api: ApiPlace, path: string, timeoutMs = TIMEOUT_MS): Promise<T> {
  const { status, body } = await exchange({ api, path, timeoutMs })
  if (status === 409) throw refusalIn(body)
  if (status !== 200) {
    throw new CliError(
      `the gateway answered ${status} to GET ${path}: ${body.slice(0, 200)}`,
      'compare the versions of `flatnet --version` and `flatnet status`',
    )
  }
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new CliError(`the gateway's answer to GET ${path} is not JSON`, 'restart the gateway', { cause })
  }
}

/** A refusal of the gateway, in its own words, which name the way out. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** What a person has to do first, e.g. to make a cluster. */
function refusalIn(body: string): RefusedError {
  const { code, message }: { code?: unknown; message?: unknown } = JSON.parse(body)
  return new RefusedError(String(code), String(message))
}

/** The JSON that answers `POST path`. @throws {GatewayDownError} @throws {RefusedError} */
// biome-ignore lint/suspicious/noExplicitAny: what the API answers is typed where it is used
export async function apiPost<T = any>(
  api: ApiPlace,
  path: string,
  json: unknown,
  timeoutMs = 10_000,
): Promise<T> {
  const { status, body } = await exchange({ api, path, timeoutMs, json })
  let answer: { code?: unknown; message?: unknown }
  try {
    answer = JSON.parse(body)
  } catch (cause) {
    throw new CliError(`the gateway's answer to POST ${path} is not JSON`, 'restart the gateway', { cause })
  }
  if (status >= 200 && status < 300) return answer as T
  throw new RefusedError(String(answer.code), String(answer.message))
}
