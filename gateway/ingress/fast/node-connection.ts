/**
 * Puts a connection under Node's HTTP server, and takes it back.
 *
 * Rests on lib/_http_server.js of Node 26; node-listeners.test.ts fails when a version of Node does it in another way.
 */

import type { Server } from 'node:http'
import type { Socket } from 'node:net'

type Listener = (this: Server, socket: Socket) => void
type Heard = readonly [event: string, listener: (...args: unknown[]) => void]

/** Of a socket whose server is Node's (`connectionListenerInternal`). */
interface Parsed {
  parser: { unconsume(): void; remove(): void; close(): void } | null
  readonly _handle: { _consumed?: boolean } | null
}

const EVENTS = ['timeout', 'data', 'error', 'end', 'close', 'drain', 'resume', 'pause'] as const
/** Node overrides them on the socket. */
const OVERRIDDEN = ['on', 'addListener', 'prependListener', 'setEncoding'] as const

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

  constructor(server: Server) {
    this.#server = server
    this.#attach = takeNodeListeners(server)
  }

  /** @param bytes were read from the socket and go first; undefined: nothing was read */
  give(socket: Socket, bytes?: Buffer): void {
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
    socket.resume()
  }

  /** With no request under way: undoes `give`, as Node does for an upgrade (`unconsume`, `freeParser`). */
  takeBack(socket: Socket): void {
    const parsed = socket as unknown as Parsed
    const { parser } = parsed
    for (const [event, listener] of this.#heard.get(socket) ?? []) socket.removeListener(event, listener)
    for (const name of OVERRIDDEN) Reflect.deleteProperty(socket, name)
    socket.setTimeout(0)
    socket.pause()
    parser?.unconsume()
    if (parsed._handle !== null) parsed._handle._consumed = false
    parser?.remove()
    parsed.parser = null
    // The parser is still on the stack.
    setImmediate(() => parser?.close())
  }
}
