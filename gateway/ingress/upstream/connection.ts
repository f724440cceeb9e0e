/** One connection to a container, for one request at a time, reading into one buffer. */

import type { OnReadOpts, Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import { boundUnacknowledged } from '../../links/liveness.ts'
import { UNACKNOWLEDGED_MS } from './dial.ts'
import { isQuiet } from './tcp-state.ts'

/** By its mark, not its class: a host without a cluster does not load TLS. */
const isTls = (socket: Socket): boolean => 'encrypted' in socket

export interface ConnectionUser {
  /** @param bytes the connection's own, and overwritten by the next read unless `keepBytes` is called */
  bytes(bytes: Buffer): void
  /** The connection is gone. @param err undefined: the container ended it properly */
  lost(err: Error | undefined): void
}

/** As much as libuv would allocate; pages that are never filled cost no memory. */
const BUFFER_BYTES = 65_536
/** Free buffers that are kept: 8 MB at most. */
const MAX_FREE = 128

/**
 * Buffers to read into, used again and again. The garbage collector counts a new one as if it were full: that was
 * 200 MB/s with one connection per POST.
 */
export class Buffers {
  readonly #free: Buffer[] = []

  reserve(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
  }

  release(buffer: Buffer): void {
    if (this.#free.length < MAX_FREE) this.#free.push(buffer)
  }
}

export class UpstreamConnection {
  /** `10.100.1.10:80` */
  readonly endpoint: string
  /** Monotonic; of the last return to the pool. */
  idleSince: Millis = 0
  /** How long the container has promised to keep it idle. */
  promisedMs: Millis = Number.POSITIVE_INFINITY
  #socket: Socket | undefined
  #user: ConnectionUser | undefined
  readonly #buffers: Buffers
  #buffer: Buffer
  #isKept = false
  #isPaused = false
  /** It ends without acknowledgements of the other side's kernel, see DialTarget. */
  #isBounded: boolean
  #onDisturbed: ((connection: UpstreamConnection) => void) | undefined

  constructor(endpoint: string, buffers: Buffers, isBounded: boolean) {
    this.endpoint = endpoint
    this.#buffers = buffers
    this.#isBounded = isBounded
    this.#buffer = buffers.reserve()
  }

  /**
   * For `connect`. Without it Node allocates 64 KB for each read and leaves them to the garbage collector: that was
   * 80 us of 120 for an answer of 100 KB, and 200 MB resident.
   */
  readonly onread: OnReadOpts = {
    buffer: () => {
      if (this.#isKept) this.#buffer = this.#buffers.reserve()
      this.#isKept = false
      return this.#buffer
    },
    callback: (length) => {
      this.#handle(this.#buffer.subarray(0, length))
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
      // Otherwise bytes in it are still to be written.
      if (!this.#isPaused && !this.#isKept) this.#buffers.release(this.#buffer)
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

  /** The bytes at hand are still to be written: the next read gets another buffer. */
  keepBytes(): void {
    this.#isKept = true
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
