/** One question to one server by UDP: from a port and with an id of its own, so that no one can answer in its place. */

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { isIP } from 'node:net'
import type { DnsServer } from './host-servers.ts'
import { isAnswerTo } from './message.ts'

/** What a server said, or that it says nothing; called once. `forged`: too many answers were none to this question. */
export type Outcome =
  | { readonly kind: 'answer'; readonly bytes: Buffer }
  | { readonly kind: 'failed'; readonly isForged: boolean }

/** @returns how to give up; nothing is called afterwards */
export type Ask = (server: DnsServer, request: Buffer, done: (outcome: Outcome) => void) => () => void

/**
 * Who guesses has 16 tries at an id of 16 bits on a port that he does not know; then another port and id are used.
 * A server that answers late to an earlier question does not come here: that one's socket is closed.
 */
const MAX_FORGED = 16

/** The kernel lets packets in only from the server's address and port, as the socket is connected. */
export const askUdp: Ask = (server, request, done) => {
  const socket = createSocket({ type: isIP(server.host) === 6 ? 'udp6' : 'udp4', lookup: literal })
  const id = randomInt(0x10000)
  let forged = 0
  let isOver = false
  const close = (): void => {
    if (isOver) return
    isOver = true
    socket.close()
  }
  const end = (outcome: Outcome): void => {
    if (isOver) return
    close()
    done(outcome)
  }
  socket.on('message', (bytes) => {
    if (isAnswerTo(request, bytes, id)) end({ kind: 'answer', bytes })
    else if (++forged >= MAX_FORGED) end({ kind: 'failed', isForged: true })
  })
  // ECONNREFUSED: nothing listens there; ENETUNREACH: no way leads there.
  socket.on('error', () => end({ kind: 'failed', isForged: false }))
  socket.connect(server.port, server.host, () => {
    if (isOver) return
    const sent = Buffer.from(request)
    sent.writeUInt16BE(id, 0)
    socket.send(sent, (err) => {
      if (err) end({ kind: 'failed', isForged: false })
    })
  })
  return close
}

type LookedUp = (err: null, address: string, family: number) => void

/** Servers are addresses: the host's resolver, which waits in a pool of four threads, is not asked. */
const literal = (host: string, _options: unknown, callback: LookedUp): void =>
  callback(null, host, isIP(host))
