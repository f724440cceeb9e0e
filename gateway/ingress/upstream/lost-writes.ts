/**
 * Reads a container's answer although the container takes no more of the request.
 *
 * A server that answers 413 and closes with bytes unread makes its kernel send a reset. The next write fails, and Node
 * would destroy the socket with the answer still unread in it: a third to half of such answers were lost.
 */

import type { Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import { hasCode } from '../../../core/errors.ts'

/** After a reset the kernel has all that will ever arrive: its end is read at once, or not at all. */
const END_MS: Millis = 1000

type Written = (err?: Error | null) => void

/**
 * Drops what is written after the first lost write. When the end is read then, the socket is destroyed with the error
 * of that write, since a reset may have cut the answer.
 */
export function readPastLostWrites(socket: Socket): void {
  let lost: Error | undefined
  const outlive =
    (written: Written): Written =>
    (err) => {
      if (err instanceof Error && hasCode(err, 'EPIPE', 'ECONNRESET')) {
        lost = err
        const timer = setTimeout(() => socket.destroy(lost), END_MS)
        socket.once('close', () => clearTimeout(timer))
        socket.once('data', () => clearTimeout(timer))
        written()
      } else written(err)
    }
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, written) => {
    if (lost === undefined) write(chunk, encoding, outlive(written))
    else written()
  }
  const writeAll = socket._writev?.bind(socket)
  if (writeAll !== undefined)
    socket._writev = (chunks, written) => {
      if (lost === undefined) writeAll(chunks, outlive(written))
      else written()
    }
  const push = socket.push.bind(socket)
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk !== null || lost === undefined) return push(chunk, encoding)
    socket.destroy(lost)
    return false
  }
}
