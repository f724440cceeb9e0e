/**
 * Puts a connection under Node's HTTP server, and takes it back.
 *
 * Rests on lib/_http_server.js of Node 26; node-listeners.test.ts fails when a version of Node does it in another way.
 */

import type { Server } from 'node:http'
import type { Socket } from 'node:net'

type Listener = (this: Server, socket: Socket) => void
type Heard = readonly [event: string, listener: (...args: unknown[]) => void]

/** `kOnMessageBegin` of Node's parser, called at the first character of a method; Node itself sets none. */
const ON_MESSAGE_BEGIN = 0

/** Of a socket whose server is Node's (`connectionListenerInternal`). */
interface Parsed {
  parser: { unconsume(): void; remove(): void; close(): void; [ON_MESSAGE_BEGIN]: (() => void) | null } | null
  readonly _handle: { _consumed?: boolean } | null
}

const EVENTS = ['timeout', 'data', 'error', 'end', 'close', 'drain', 'resume', 'pause'] as const
/** Node's own 'pause' would stop the handle, and the stream would wait for bytes of it for ever. */
const READING: ReadonlySet<string> = new Set(['data', 'end', 'pause', 'resume'])
/** Node overrides them on the socket, and `stop` the last. */
const OVERRIDDEN = ['on', 'addListener', 'prependListener', 'setEncoding', 'resume'] as const

/**
 * Takes Node's own handling of new connections off the server; a connection gets it when it leaves the fast path.
 * Node's constructor registers `connectionListener` for it, which makes the parser and the listeners of a socket
 * whenever it is called (`function Server`).
 */
export function takeNodeListeners(server: Server): readonly Listener[] {
  const nodeListeners = server.listeners('connection') as Listener[]
  server.removeAllListeners('connection')
  return nodeListeners
}

export class NodeConnections {
  readonly #server: Server
  readonly #attach: readonly Listener[]
  readonly #heard = new WeakMap<Socket, readonly Heard[]>()
  /** Their last request: `bytesRead` of the socket as it began, a number for each packet, and how many it makes. */
  readonly #begun = new WeakMap<Socket, { readonly at: number; readonly count: number }>()

  constructor(server: Server) {
    this.#server = server
    this.#attach = takeNodeListeners(server)
  }

  /** @param bytes were read from the socket and go first; undefined: nothing was read */
  give(socket: Socket, bytes?: Buffer): void {
    this.#begun.delete(socket)
    const before = new Set(EVENTS.flatMap((event) => socket.listeners(event)))
    socket.pause()
    if (bytes !== undefined) socket.unshift(bytes)
    for (const attach of this.#attach) attach.call(this.#server, socket)
    this.#heard.set(
      socket,
      EVENTS.flatMap((event) =>
        socket.listeners(event).flatMap((l): Heard[] => (before.has(l) ? [] : [[event, l as Heard[1]]])),
      ),
    )
    const { parser } = socket as unknown as Parsed
    if (parser !== null)
      parser[ON_MESSAGE_BEGIN] = () => {
        const count = (this.#begun.get(socket)?.count ?? 0) + 1
        this.#begun.set(socket, { at: socket.bytesRead, count })
      }
    socket.resume()
  }

  /** Whether the last request began in the packet that is being read, and not with a part of its method before. */
  hasBegunNow(socket: Socket): boolean {
    return this.#begun.get(socket)?.at === socket.bytesRead
  }

  /** Whether no request began behind the one that `give` has brought. */
  isFirst(socket: Socket): boolean {
    return (this.#begun.get(socket)?.count ?? 0) <= 1
  }

  /**
   * Nothing more is parsed of what the client sends. Requests under way are answered still; `takeBack` has to follow.
   */
  stop(socket: Socket): void {
    const parsed = socket as unknown as Parsed
    const { parser } = parsed
    for (const [event, listener] of this.#heard.get(socket) ?? [])
      if (READING.has(event)) socket.removeListener(event, listener)
    socket.pause()
    // Bodies that are read late, and answers that were written, resume it (`readStart`, `socketOnDrain`).
    socket.resume = () => socket
    parser?.unconsume()
    if (parsed._handle !== null) parsed._handle._consumed = false
    parser?.remove()
    parsed.parser = null
    // The parser is still on the stack.
    setImmediate(() => parser?.close())
  }

  /** After `stop`, with no request under way any more: undoes `give`, as Node does for an upgrade. */
  takeBack(socket: Socket): void {
    for (const [event, listener] of this.#heard.get(socket) ?? []) socket.removeListener(event, listener)
    for (const name of OVERRIDDEN) Reflect.deleteProperty(socket, name)
    socket.setTimeout(0)
  }
}
