/** A gateway in the process of the test, on loopback: supernet 127.0.0.0/8, so that 127.1.x.y are "containers". */

import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import type { Test } from 'tap'
import type { DaemonConf } from '../../../conf/daemon.ts'
import type { Assignment } from '../../../core/api.ts'
import type { LogFields } from '../../../core/log.ts'
import { type GatewayOptions, type Ready, runGateway } from '../../../gateway/daemon.ts'
import { enterPrivateNet } from '../kernel/private-net.ts'
import { scratchFolder } from '../run/scratch.ts'
import { assignmentOf, testConf } from './gateway-samples.ts'

enterPrivateNet()

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
  // biome-ignore lint/suspicious/noExplicitAny: JSON of the gateway, judged by the test
  json(): any
}

export interface Asked {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
}

export interface TestGateway {
  readonly conf: DaemonConf
  readonly port: number
  readonly socket: string
  readonly logged: { readonly event: string; readonly fields: LogFields }[]
  api(path: string, asked?: Asked): Promise<Answer>
  /** Through ingress; `host` is the Host header. */
  get(host: string, path?: string, asked?: Asked): Promise<Answer>
  /** Registers by POST and fails the test unless it is 200 or 201. */
  register(part: Partial<Assignment>): Promise<Assignment>
  stop(): Promise<void>
}

export async function startGateway(
  t: Pick<Test, 'teardown'>,
  more: Record<string, unknown> = {},
  options: Partial<GatewayOptions> = {},
  folder?: string,
): Promise<TestGateway> {
  const conf = testConf(folder ?? scratchFolder(t), more)
  const stop = new AbortController()
  const logged: TestGateway['logged'] = []
  const write = (fields: LogFields, event: string): void => {
    logged.push({ event, fields })
  }
  const log = { debug: write, info: write, warn: write, error: write }
  const ready = Promise.withResolvers<Ready>()
  const done = runGateway(conf, { signal: stop.signal, log, onReady: ready.resolve, ...options })
  done.catch(ready.reject)
  const { ingress } = await ready.promise
  const end = async (): Promise<void> => {
    stop.abort()
    await done
  }
  t.teardown(end)
  const port = ingress?.port ?? 0
  const { socket } = conf.api
  const api: TestGateway['api'] = (path, asked) => ask({ socketPath: socket, path }, asked)
  return {
    conf,
    port,
    socket,
    logged,
    api,
    get: (host, path = '/', asked = {}) =>
      ask({ port, path }, { ...asked, headers: { host, ...asked.headers } }),
    async register(part) {
      const assignment = assignmentOf(part)
      const { status, body } = await api('/v1/assignments', { method: 'POST', ...jsonBody(assignment) })
      if (status !== 200 && status !== 201) throw new Error(`${status} ${body}`)
      return assignment
    },
    stop: end,
  }
}

export const jsonBody = (value: unknown): Pick<Asked, 'headers' | 'body'> => ({
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
})

/** One request on a connection of its own, bounded by 10 s; the whole body as text. */
export function ask(
  to: { socketPath?: string; port?: number; path: string },
  asked: Asked = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers, body } = asked
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const req = request({
      ...to,
      method,
      headers: { ...length, ...headers },
      agent: false,
      signal: AbortSignal.timeout(10_000),
    })
    req.on('error', reject)
    req.on('response', (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const { statusCode = 0, rawHeaders } = res
        resolve({
          status: statusCode,
          headers: res.headers,
          rawHeaders,
          body: text,
          json: () => JSON.parse(text),
        })
      })
    })
    req.end(body)
  })
}
