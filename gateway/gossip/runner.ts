/** Sends a request that came as a message to its container, once, and collects the answer. */

import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Millis } from '../../core/clock.ts'
import { type LateAnswer, type LateRequest, MAX_BODY_BYTES } from './http-message.ts'

/** From the connection to the last byte of the answer. */
const ANSWER_MS: Millis = 30_000
/** Of answers at once: each holds 64 KiB at most. */
const MAX_RUNNING = 32

export class Runner {
  /** Whether a container of this host has the address. */
  readonly #isOwn: (ip: string) => boolean
  #running = 0

  constructor(isOwn: (ip: string) => boolean) {
    this.#isOwn = isOwn
  }

  /** Never rejects. */
  async run(request: LateRequest): Promise<LateAnswer> {
    const { id, ip, method } = request
    if (method === 'CONNECT') return { id, problem: 'a message opens no tunnel' }
    if (!this.#isOwn(ip)) return { id, problem: `no container has ${ip} any more` }
    if (this.#running >= MAX_RUNNING) return { id, problem: 'its host executes too many messages at once' }
    this.#running++
    try {
      return { id, ...(await ask(request)) }
    } catch (err) {
      return {
        id,
        problem: `the container did not answer: ${err instanceof Error ? err.message : String(err)}`,
      }
    } finally {
      this.#running--
    }
  }
}

const UPGRADING = new Set(['upgrade', 'connection', 'http2-settings'])

const withoutUpgrade = (headers: readonly string[]): string[] =>
  headers.filter((_, i, all) => !UPGRADING.has(all[i - (i % 2)]!.toLowerCase()))

interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Buffer
}

async function ask({ body, headers, ip, method, path, port }: LateRequest): Promise<Answer> {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = httpRequest({
      host: ip,
      port,
      method,
      path,
      headers: withoutUpgrade(headers),
      setHost: false,
      agent: false,
      signal,
    })
    sent.once('response', resolve)
    // Also when the answer has begun: then reading it says so.
    sent.on('error', reject)
    // A 101 that nothing listens for ends the connection without an error.
    sent.once('close', () => reject(new Error('it gave no answer that a message can carry')))
    sent.end(body)
  })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) {
      response.destroy()
      throw new Error(`its answer is longer than ${MAX_BODY_BYTES} bytes`)
    }
    chunks.push(chunk)
  }
  return { status: response.statusCode ?? 502, headers: response.rawHeaders, body: Buffer.concat(chunks) }
}
