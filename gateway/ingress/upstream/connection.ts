/** One connection to a container, for one request at a time, reading into one buffer. */

import type { OnReadOpts, Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import { boundUnacknowledged } from '../../links/liveness.ts'
import { UNACKNOWLEDGED_MS } from './dial.ts'
import { isQuiet } from './tcp-state.ts'

/** By its mark, not its class: a host without a cluster does not load TLS. */
const isTls = (socket: Socket): boolean => 'encrypted' in socket

export interface ConnectionUser {
  /** @param bytes valid during the call: every connection reads into the same memory */
  bytes(bytes: Buffer): void
  /** The connection is gone. @param err undefined: the container ended it properly */
  lost(err: Error | undefined): void
}

/**
 * What all connections read into, as much as libuv would allocate for one read. One buffer stays in the nearest cache,
 * and the garbage collector counts a new one as if it were full: that was 200 MB/s with one connection per POST.
 */
const memory = Buffer.allocUnsafeSlow(65_536)

export class UpstreamConnection {
  /** `10.100.1.10:80` */
  readonly endpoint: string
  /** Monotonic; of the last return to the pool. */
  idleSince: Millis = 0
  /** How long the container has promised to keep it idle. */
  promisedMs: Millis = Number.POSITIVE_INFINITY
  #socket: Socket | undefined
  #user: ConnectionUser | undefined
  #isPaused = false
  /** It ends without acknowledgements of the other side's kernel, see DialTarget. */
  #isBounded: boolean
  #onDisturbed: ((connection: UpstreamConnection) => void) | undefined

  constructor(endpoint: string, isBounded: boolean) {
    this.endpoint = endpoint
    this.#isBounded = isBounded
  }

  /**
   * For `connect`. Without it Node allocates 64 KB for each read and leaves them to the garbage collector: that was
   * 80 us of 120 for an answer of 100 KB, and 200 MB resident.
   */
  readonly onread: OnReadOpts = {
    buffer: memory,
    callback: (length) => {
      this.#handle(memory.subarray(0, length))
      return !this.#isPaused
    },
  }

  attach(socket: Socket): void {
    this.#socket = socket
    // Through another gateway: TLS has no `onread`, and bytes arrive in buffers of their own.
    if (isTls(socket)) socket.on('data', (chunk: Buffer) => this.#handle(chunk))
    socket.on('end', () => this.#lose(undefined))
    socket.on('error', (err) => this.#lose(err))
    socket.on('close', () => {
      this.#lose(new Error('connection closed'))
    })
  }

  get isUsable(): boolean {
    return this.#socket?.readyState === 'open'
  }

  /**
   * The container has neither ended it nor sent unrequested bytes. Never true through another gateway, which alone
   * could know.
   */
  get isQuiet(): boolean {
    return this.#socket !== undefined && !isTls(this.#socket) && isQuiet(this.#socket)
  }

  /** The kernel has everything that was sent. */
  get isSent(): boolean {
    return this.#socket?.writableLength === 0
  }

  /** @param message each character a byte, or bytes */
  send(message: string | Buffer, user: ConnectionUser, isBounded: boolean): void {
    const socket = this.#socket
    this.#user = user
    this.#onDisturbed = undefined
    if (socket === undefined) return
    if (isBounded !== this.#isBounded) {
      boundUnacknowledged(socket, isBounded ? UNACKNOWLEDGED_MS : 0)
      this.#isBounded = isBounded
    }
    if (typeof message === 'string') socket.write(message, 'latin1')
    else socket.write(message)
  }

  pause(): void {
    this.#isPaused = true
    this.#socket?.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket?.resume()
  }

  /**
   * It is idle from now on.
   * @param onDisturbed called when the container ends it or sends bytes: it is of no use then
   */
  rest(onDisturbed: (connection: UpstreamConnection) => void): void {
    this.#user = undefined
    this.#onDisturbed = onDisturbed
    this.resume()
  }

  destroy(): void {
    this.#user = undefined
    this.#onDisturbed = undefined
    this.#socket?.destroy()
  }

  /** As if the container had broken it off: unlike with `destroy`, its user hears of it. */
  cut(): void {
    this.#socket?.destroy()
  }

  #handle(bytes: Buffer): void {
    // Unrequested bytes: they are not the answer to the next request.
    if (this.#user === undefined) this.#lose(undefined)
    else this.#user.bytes(bytes)
  }

  #lose(err: Error | undefined): void {
    const user = this.#user
    const onDisturbed = this.#onDisturbed
    this.destroy()
    user?.lost(err)
    onDisturbed?.(this)
  }
}
