/** The command line's side of the gateway's API: one bounded HTTP exchange over the unix socket. */
import { request } from 'node:http'
import { CliError } from './output.ts'

/** A status page of 10,000 assignments takes tens of milliseconds; longer than this is a gateway that hangs. */
const TIMEOUT_MS = 3000
const MAX_BODY_BYTES = 64 << 20

/** The gateway did not answer; what is on disk still holds. */
export class GatewayDownError extends CliError {
  constructor(socketPath: string, reason: string) {
    super(
      `the gateway does not answer on ${socketPath}: ${reason}`,
      'systemctl status flatnet-gateway, or start it: flatnet gateway --config /etc/flatnet/flatnet.yaml',
    )
  }
}

function reasonOf(err: NodeJS.ErrnoException): string {
  if (err.code === 'ENOENT') return 'no such socket (it is not running)'
  if (err.code === 'ECONNREFUSED') return 'nobody listens (it was killed)'
  if (err.code === 'EACCES') return 'permission denied (run this as root)'
  return err.message
}

function exchange(
  socketPath: string,
  path: string,
  timeoutMs: number,
): Promise<{ status: number; body: string }> {
  return new Promise((done, fail) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const down = (err: Error): void =>
      fail(
        new GatewayDownError(socketPath, signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(err)),
      )
    const req = request(
      { socketPath, path, signal, headers: { host: 'flatnet', connection: 'close' } },
      (res) => {
        let body = ''
        res.setEncoding('utf8')
        res.on('data', (chunk: string) => {
          body += chunk
          if (body.length > MAX_BODY_BYTES) req.destroy(new Error('the answer is too long'))
        })
        res.on('error', down)
        res.on('end', () => done({ status: res.statusCode ?? 0, body }))
      },
    )
    req.on('error', down)
    req.end()
  })
}

/** The JSON of `GET path`. @throws {GatewayDownError} @throws {CliError} when the gateway refuses */
// biome-ignore lint/suspicious/noExplicitAny: what the API answers is typed where it is used
export async function apiGet<T = any>(socketPath: string, path: string, timeoutMs = TIMEOUT_MS): Promise<T> {
  const { status, body } = await exchange(socketPath, path, timeoutMs)
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
