/** Dials containers of this host for other gateways, once for each stream of a peer. */

import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { parseIpv4 } from '../../../core/addr.ts'
import { attachmentKey } from '../../../core/attachment.ts'
import type { Millis } from '../../../core/clock.ts'
import { isObject } from '../../../core/json.ts'
import type { Log } from '../../../core/log.ts'
import { LogLimiter } from '../../base/log-limit.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { StreamOffer } from '../../links/streams/streams.ts'
import type { PathTable } from '../../paths/table.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Slices } from '../../registry/slices.ts'
import { connectOnce, DialError } from './dial.ts'
import { readPastLostWrites } from './lost-writes.ts'
import type { Refusal, TcpHead } from './stream-dial.ts'

export interface ForwarderDeps {
  readonly registry: Registry
  readonly slices: Slices
  readonly paths: PathTable
  readonly metrics: Metrics
  readonly log: Log
}

const MAX_TIMEOUT_MS: Millis = 5_000
/** A peer may ask a thousand times a second; the log says so once in this time. */
const SAID_AGAIN_MS: Millis = 60_000

/** While this gateway stops: after such a pause a stream counts as idle, kept for a next request. */
const REST_MS: Millis = 1_000
/** How often a stopping gateway looks for streams that are not idle. */
const SWEEP_MS: Millis = 50

/** For the bytes before a container's break to reach the peer; one that has the whole answer closes before. */
const BREAK_MS: Millis = 1_000
/** A peer that sent nothing for so long has no upload under way. */
const PAUSE_MS: Millis = 50

/** The last bytes on a stream. */
interface Traffic {
  /** They came from the container, or there were none yet: the answer may be complete. */
  isAnswered: boolean
  /** Monotonic. */
  at: Millis
}

export class Forwarder {
  readonly #deps: ForwarderDeps
  readonly #said = new LogLimiter(SAID_AGAIN_MS)
  /** By attachment: closed when the container goes. */
  readonly #joined = new Map<string, Map<Socket, Traffic>>()
  #isDraining = false

  constructor(deps: ForwarderDeps) {
    this.#deps = deps
  }

  /** Never forwards to a third host, so a stream cannot loop. */
  async accept(offer: StreamOffer): Promise<void> {
    const { log, metrics } = this.#deps
    const head = readHead(offer.head)
    const outcome = head === undefined ? 'bad-request' : await this.#join(offer, head)
    metrics.count('flatnet_forwarded_streams_total', 'Connections dialled for other gateways', { outcome })
    if (outcome === 'forbidden' || outcome === 'bad-request') {
      const endpoint = head === undefined ? undefined : `${head.ip}:${head.port}`
      const isNews = this.#said.isDue(`${offer.hostId} ${outcome}`, performance.now())
      const fields = { peer: offer.hostId, endpoint, reason: outcome }
      log[isNews ? 'warn' : 'debug'](fields, 'stream of a peer refused')
    }
    if (outcome !== 'joined' && outcome !== 'left') offer.refuse(outcome)
  }

  /** The container has gone, or has another address. */
  drop(key: string): void {
    for (const socket of this.#joined.get(key)?.keys() ?? []) socket.destroy()
    this.#joined.delete(key)
  }

  /** This gateway is about to stop: no new streams, and those under way get `drainMs` to end. */
  async drain(drainMs: Millis): Promise<void> {
    this.#isDraining = true
    const end = performance.now() + drainMs
    while (this.#isBusy() && performance.now() < end) await sleep(SWEEP_MS)
  }

  #isBusy(): boolean {
    const restedAt = performance.now() - REST_MS
    const all = [...this.#joined.values()].flatMap((joined) => [...joined.values()])
    return all.some(({ isAnswered, at }) => !isAnswered || at > restedAt)
  }

  /** @returns `left`: the peer has closed the stream meanwhile */
  async #join(offer: StreamOffer, { ip, port, timeoutMs }: TcpHead): Promise<Refusal | 'joined' | 'left'> {
    const { registry, slices, paths } = this.#deps
    if (paths.decision(offer.hostId)?.state === 'QUARANTINED') return 'forbidden'
    if (this.#isDraining) return 'unreachable'
    const number = parseIpv4(ip)
    if (number === undefined) return 'bad-request'
    if (!slices.owns(registry.hostId, number)) return 'forbidden'
    const assignment = registry.byIp(ip)
    if (assignment === undefined || assignment.hostId !== registry.hostId) return 'gone'
    let container: Socket
    try {
      container = await connectOnce({ ip, port, allowHalfOpen: true }, timeoutMs)
    } catch (err) {
      if (err instanceof DialError) return err.reason
      throw err
    }
    if (!registry.holds(assignment, ip)) {
      container.destroy()
      return 'gone'
    }
    const stream = offer.accept()
    if (stream.destroyed || stream.writableEnded) {
      container.destroy()
      return 'left'
    }
    this.#keep(attachmentKey(assignment), container, stream)
    join(stream, container)
    return 'joined'
  }

  #keep(key: string, container: Socket, stream: TLSSocket): void {
    const joined = this.#joined.get(key) ?? new Map<Socket, Traffic>()
    const traffic: Traffic = { isAnswered: true, at: performance.now() }
    this.#joined.set(key, joined.set(container, traffic))
    const saw = (isAnswered: boolean) => (): void => {
      traffic.isAnswered = isAnswered
      traffic.at = performance.now()
    }
    stream.on('data', saw(false))
    container.on('data', saw(true))
    container.once('close', () => {
      joined.delete(container)
      if (joined.size === 0 && this.#joined.get(key) === joined) this.#joined.delete(key)
    })
  }
}

function readHead(head: unknown): TcpHead | undefined {
  if (!isObject(head)) return undefined
  const { ip, port, timeoutMs } = head
  if (typeof ip !== 'string' || typeof port !== 'number' || typeof timeoutMs !== 'number') return undefined
  if (!Number.isInteger(port) || port < 1 || port > 65_535 || !(timeoutMs > 0)) return undefined
  return { ip, port, timeoutMs: Math.min(timeoutMs, MAX_TIMEOUT_MS) }
}

/**
 * Each direction ends by itself. When the container breaks off its answer, the stream breaks off too, so that the peer
 * does not take it for the end. The container sees what a gateway does that dials directly: it closes when it is done.
 */
function join(stream: TLSSocket, container: Socket): void {
  readPastLostWrites(container)
  stream.pipe(container)
  container.pipe(stream)
  container.on('error', () => {})
  container.on('close', () => {
    // `pipe` has passed on a proper end, which may still be on its way out.
    if (!container.readableEnded) breakOff(stream)
  })
  stream.on('close', () => {
    if (!stream.readableEnded || !container.readableEnded) container.destroy()
  })
}

/**
 * Once the peer has what the container said: an answer with an end of its own, a 413 to an upload, is whole then. What
 * the peer still sends is dropped until it pauses or closes: the kernel throws away bytes on their way out when a
 * socket is closed with bytes unread.
 */
function breakOff(stream: TLSSocket): void {
  const latest = setTimeout(() => stream.destroy(), BREAK_MS)
  const pause = setTimeout(() => {
    if (stream.writableLength > 0) pause.refresh()
    else stream.destroy()
  }, PAUSE_MS)
  stream.on('data', () => pause.refresh()).resume()
  stream.once('close', () => {
    clearTimeout(latest)
    clearTimeout(pause)
  })
}
