/** Streams between two gateways: a TLS connection each, opened by a head that names its purpose. */

import { randomBytes } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { LogLimiter } from '../../base/log-limit.ts'
import { printable, reasonText } from '../../base/printable.ts'
import { dialAt, HANDSHAKE_MS, STAGGER_MS } from '../dial/dial.ts'
import { type Attempt, firstOf } from '../dial/race.ts'
import { Alpn, type PeerId } from '../tls.ts'
import type { ControlMessage, Identity, Member, Membership } from '../types.ts'
import { encodeFrame, readFrame, StreamError, type StreamHead } from './stream-frame.ts'
import { type Slot, StreamSlots } from './stream-slots.ts'

export interface StreamsDeps {
  readonly identity: () => Identity
  readonly membership: Membership
  readonly log: Log
  /** On the control connection. @returns false when there is none */
  send(hostId: number, message: ControlMessage): boolean
}

/** Exactly one of the two is called, within 5 s. */
export interface StreamOffer {
  readonly hostId: number
  readonly head: StreamHead
  /** Either side may end its half by itself; the handler that accepts a stream ends or destroys it. */
  accept(): TLSSocket
  /** @param reason sent to the other side */
  refuse(reason: string): void
}

export type StreamHandler = (offer: StreamOffer) => void

/** For the head of a stream, and for the answer of its handler. */
const ANSWER_MS: Millis = 5_000
/** The reason of a refusal reaches the other side in this time, or never. */
const GOODBYE_MS: Millis = 1_000
const ID_RE = /^[0-9a-f]{32}$/

interface Awaited {
  readonly hostId: number
  readonly arrived: (socket: TLSSocket) => void
  readonly failed: (reason: string) => void
}

export class Streams {
  readonly #deps: StreamsDeps
  readonly #handlers = new Map<string, StreamHandler>()
  readonly #slots = new StreamSlots()
  readonly #said = new LogLimiter(60_000)
  /** Connections that peers were asked to make, by id. */
  readonly #awaited = new Map<string, Awaited>()
  /** Of each peer, the way that worked last: `back` or an endpoint. It goes first. */
  readonly #worked = new Map<number, string>()

  constructor(deps: StreamsDeps) {
    this.#deps = deps
  }

  /** Open, and being opened or offered. */
  get count(): number {
    return this.#slots.count
  }

  /** One handler for a purpose; it must not throw. */
  handle(purpose: string, handler: StreamHandler): void {
    if (this.#handlers.has(purpose)) throw new Error(`streams for ${purpose} are handled already`)
    this.#handlers.set(purpose, handler)
  }

  /**
   * Resolves when the other side accepted. The peer's endpoints are dialled; when none answers, the peer is asked over
   * the control connection to dial this host.
   * @throws {StreamError} refused by the peer, not reached in time, cut off, or too many streams
   */
  async open(hostId: number, head: StreamHead, options: { readonly timeoutMs: Millis }): Promise<TLSSocket> {
    const { timeoutMs } = options
    const frame = encodeFrame(head)
    const member = this.#memberOf(hostId)
    if (member === undefined) throw new StreamError(`host ${hostId} is no member`)
    const slot = this.#slots.reserve(hostId)
    const timer = setTimeout(() => slot.cut(`host ${hostId} did not answer in ${timeoutMs} ms`), timeoutMs)
    try {
      const socket = await firstOf(this.#attemptsAt(member), STAGGER_MS, slot.signal)
      slot.hold(socket, this.#slots.silentMs(hostId))
      socket.write(frame)
      const answer = await readFrame(socket, slot.signal)
      if (answer['ok'] !== true) throw new StreamError(reasonText(answer['reason']), true)
      return socket
    } catch (err) {
      slot.cut('not opened')
      throw err
    } finally {
      clearTimeout(timer)
    }
  }

  /** A peer's connection, its certificate judged. */
  adopt(socket: TLSSocket, hostId: number): void {
    socket.allowHalfOpen = true
    try {
      void this.#receive(socket, hostId, this.#slots.reserve(hostId))
    } catch (err) {
      const said = { peer: hostId, reason: messageOf(err) }
      if (this.#said.isDue(`${hostId}`, performance.now())) this.#deps.log.warn(said, 'stream refused')
      refuse(socket, said.reason)
    }
  }

  /** A peer cannot dial this host and asks to be dialled, or could not dial it when asked. */
  onMessage(hostId: number, message: ControlMessage): void {
    const { type, id } = message
    if (typeof id !== 'string' || !ID_RE.test(id)) return
    if (type === 'stream.dial') void this.#dialBack(hostId, id)
    else if (type === 'stream.failed') this.#claim(hostId, id)?.failed(reasonText(message['reason']))
  }

  linkUp(hostId: number): void {
    this.#slots.linkUp(hostId)
  }

  /** Streams outlive the link, but not a peer that is silent on them as well. */
  linkDown(hostId: number): void {
    this.#slots.linkDown(hostId)
  }

  /** Ends all streams with a host that is no member any more, or is in quarantine. */
  cut(hostId: number, reason: string): void {
    this.#worked.delete(hostId)
    this.#slots.cut(hostId, reason)
  }

  stop(): void {
    this.#slots.cutAll('this gateway stops')
  }

  #memberOf(hostId: number): Member | undefined {
    return this.#deps.membership.members().find((m) => m.hostId === hostId)
  }

  #attemptsAt(member: Member): Attempt<TLSSocket>[] {
    const { hostId } = member
    const dials = this.#dialsTo(member)
    const back: Attempt<TLSSocket> = (signal) => this.#askBack(hostId, signal)
    // Behind the best endpoint: of several dead ones each would cost its time.
    const attempts = new Map([...dials.slice(0, 1), ['back', back] as const, ...dials.slice(1)])
    const first = this.#worked.get(hostId) ?? ''
    const order = [...attempts.keys()].sort((a, b) => Number(b === first) - Number(a === first))
    return order.map((name) => async (signal) => {
      const socket = await attempts.get(name)!(signal)
      this.#worked.set(hostId, name)
      return socket
    })
  }

  #dialsTo({ hostId, endpoints }: Member): [string, Attempt<TLSSocket>][] {
    const { identity, membership } = this.#deps
    const dialled = {
      identity: identity(),
      hostId,
      alpn: Alpn.stream,
      refusal: ({ keyId }: PeerId) => membership.refusal(hostId, keyId),
    }
    return endpoints.map((endpoint) => [endpoint, dialAt(endpoint, dialled)])
  }

  /** The id is good for one connection, of that host, until `signal`. */
  #askBack(hostId: number, signal: AbortSignal): Promise<TLSSocket> {
    const id = randomBytes(16).toString('hex')
    return new Promise((resolve, reject) => {
      const over = (): void => {
        this.#awaited.delete(id)
        signal.removeEventListener('abort', aborted)
      }
      const aborted = (): void => {
        over()
        reject(signal.reason)
      }
      const failed = (reason: string): void => {
        over()
        reject(new StreamError(reason))
      }
      const arrived = (socket: TLSSocket): void => {
        over()
        resolve(socket)
      }
      signal.addEventListener('abort', aborted)
      this.#awaited.set(id, { hostId, arrived, failed })
      if (!this.#deps.send(hostId, { type: 'stream.dial', id })) failed('its control connection is down')
    })
  }

  #claim(hostId: number, id: string): Awaited | undefined {
    const awaited = this.#awaited.get(id)
    return awaited?.hostId === hostId ? awaited : undefined
  }

  /** A peer cannot dial this host and wants a stream: this host dials, the peer says what it is for. */
  async #dialBack(hostId: number, id: string): Promise<void> {
    let slot: Slot | undefined
    let timer: NodeJS.Timeout | undefined
    try {
      const taken = this.#slots.reserve(hostId)
      slot = taken
      timer = setTimeout(() => taken.cut('not answered in time'), HANDSHAKE_MS)
      const member = this.#memberOf(hostId)
      const attempts = member === undefined ? [] : this.#dialsTo(member).map(([, attempt]) => attempt)
      if (attempts.length === 0) throw new StreamError('neither host knows an address of the other')
      const socket = await firstOf(attempts, STAGGER_MS, taken.signal)
      socket.write(encodeFrame({ back: id }))
      void this.#receive(socket, hostId, taken)
    } catch (err) {
      slot?.cut('not dialled')
      this.#deps.send(hostId, { type: 'stream.failed', id, reason: printable(messageOf(err)) })
    } finally {
      clearTimeout(timer)
    }
  }

  /** The first frame of a peer's connection: the head of a stream, or the id that it was asked to present. */
  async #receive(socket: TLSSocket, hostId: number, slot: Slot): Promise<void> {
    slot.hold(socket, this.#slots.silentMs(hostId))
    const timer = setTimeout(() => slot.cut('no head in time'), ANSWER_MS)
    try {
      const head = await readFrame(socket, slot.signal)
      if (typeof head['back'] === 'string') this.#return(socket, hostId, head['back'], slot)
      else this.#offer(socket, hostId, head)
    } catch (err) {
      if (err instanceof StreamError) refuse(socket, err.reason)
      else {
        this.#deps.log.error({ peer: hostId, err }, 'stream handler failed')
        socket.destroy()
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** From now on the slot that was reserved with the request holds it. */
  #return(socket: TLSSocket, hostId: number, id: string, slot: Slot): void {
    const awaited = this.#claim(hostId, id)
    if (awaited === undefined) throw new StreamError('no stream waits for this connection')
    slot.release()
    awaited.arrived(socket)
  }

  #offer(socket: TLSSocket, hostId: number, head: Readonly<Record<string, unknown>>): void {
    const { purpose } = head
    if (typeof purpose !== 'string') throw new StreamError('head has no purpose')
    const handler = this.#handlers.get(purpose)
    if (handler === undefined) throw new StreamError(`unknown purpose ${JSON.stringify(purpose)}`)
    const timer = setTimeout(() => refuse(socket, 'not answered in time'), ANSWER_MS)
    let isAnswered = false
    socket.once('close', () => clearTimeout(timer))
    const answer = (act: () => void): void => {
      if (isAnswered) throw new Error(`stream for ${purpose} was answered already`)
      isAnswered = true
      clearTimeout(timer)
      if (!socket.writableEnded) act()
    }
    handler({
      hostId,
      head: { ...head, purpose },
      accept: () => {
        answer(() => socket.write(encodeFrame({ ok: true })))
        return socket
      },
      refuse: (reason) => answer(() => refuse(socket, reason)),
    })
  }
}

const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err))

/** Reads on to the end, for a reset would overtake the reason. */
function refuse(socket: TLSSocket, reason: string): void {
  if (socket.destroyed) return
  socket.end(encodeFrame({ ok: false, reason: printable(reason) }))
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), GOODBYE_MS)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
}
