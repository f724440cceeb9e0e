/** One question to one server by TCP, for a client that asked by TCP. */

import { randomInt } from 'node:crypto'
import { connect } from 'node:net'
import { isAnswerTo } from './message.ts'
import { framed, Messages } from './stream.ts'
import type { Ask } from './upstream-udp.ts'

/** The longest that a length of two bytes can say. */
const MAX_BYTES = 65_535

export const askTcp: Ask = (server, request, done) => {
  const id = randomInt(0x10000)
  const socket = connect({ host: server.host, port: server.port, noDelay: true })
  const messages = new Messages(MAX_BYTES)
  let isOver = false
  const close = (): void => {
    isOver = true
    socket.destroy()
  }
  const end = (bytes: Buffer | undefined): void => {
    if (isOver) return
    close()
    const isAnswer = bytes !== undefined && isAnswerTo(request, bytes, id)
    done(isAnswer ? { kind: 'answer', bytes } : { kind: 'failed', isForged: bytes !== undefined })
  }
  socket.on('error', () => end(undefined))
  socket.on('close', () => end(undefined))
  socket.on('data', (chunk: Buffer) => {
    const [first] = messages.push(chunk) ?? []
    if (first !== undefined) end(first)
  })
  const sent = Buffer.from(request)
  sent.writeUInt16BE(id, 0)
  socket.write(framed(sent))
  return close
}
