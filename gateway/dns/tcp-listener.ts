/** Takes questions by TCP on one bridge address, from the containers of its network alone. */

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { DnsListener, DnsListenerDeps, DnsListenerUser } from './listener.ts'
import { framed, Messages } from './stream.ts'

/** TCP is for answers that are too long for UDP: a few at a time. */
const MAX_CONNECTIONS = 256
const MAX_PER_CLIENT = 32
/** Questions of one connection that wait for answers (RFC 7766 6.2.1.1); then it is not read. */
const MAX_PIPELINED = 16
/** RFC 7766 6.2.3: a few seconds. */
const IDLE_MS = 5_000
/** Answers that a client has not read: one of the longest, and some more. */
const MAX_UNREAD_BYTES = 256 * 1024
/** Of a question: a name of 255 bytes, and options of EDNS. */
const MAX_QUESTION_BYTES = 4_096

/** @throws Error EADDRNOTAVAIL: no such address yet; EADDRINUSE: another server has the port */
export async function openTcp(deps: DnsListenerDeps): Promise<DnsListener> {
  const open = new Map<string, Set<Socket>>()
  let count = 0
  let user: DnsListenerUser = deps
  const server = createServer({ noDelay: true }, (socket) => {
    const client = socket.remoteAddress ?? ''
    const own = open.get(client) ?? new Set()
    const isTaken = user.isClient(client) && count < MAX_CONNECTIONS && own.size < MAX_PER_CLIENT
    if (!isTaken) {
      user.dropped(user.isClient(client) ? 'flood' : 'stranger')
      socket.destroy()
      return
    }
    count++
    open.set(client, own.add(socket))
    socket.on('close', () => {
      count--
      own.delete(socket)
      if (own.size === 0) open.delete(client)
    })
    converse(socket, client, () => user)
  })
  server.listen({ host: deps.address, port: deps.port, exclusive: true })
  await once(server, 'listening')
  server.on('error', (err) => user.failed(err))
  return {
    port: (server.address() as AddressInfo).port,
    handOver(to) {
      user = to
    },
    async close() {
      server.close()
      for (const sockets of open.values()) for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

function converse(socket: Socket, client: string, user: () => DnsListenerUser): void {
  const messages = new Messages(MAX_QUESTION_BYTES)
  let waiting = 0
  socket.setTimeout(IDLE_MS, () => socket.destroy())
  // A client that goes away needs no answer.
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer): unknown => {
    const questions = messages.push(chunk)
    if (questions === undefined) return socket.destroy()
    for (const bytes of questions) {
      if (++waiting >= MAX_PIPELINED) socket.pause()
      user().resolve({ bytes, client, isTcp: true }, (answer) => {
        if (--waiting < MAX_PIPELINED) socket.resume()
        if (socket.destroyed) return
        socket.write(framed(answer))
        // It asks and does not read.
        if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy()
      })
    }
    return undefined
  })
}
