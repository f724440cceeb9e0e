/** Writes to a client at once, so that the memory which was written from is free again. */

import type { Socket } from 'node:net'
import { sendNow } from 'netlink-ts/libc-listen.node.ts'
import { fdOf } from '../base/fd.ts'
import { isSecure } from './trust.ts'

/** Strings are made bytes here: heads and chunk sizes, which are shorter but for odd ones. */
const scratch = Buffer.allocUnsafeSlow(16_384)

type Piece = Buffer | string

const past = new WeakMap<Socket, number>()

/** Bytes that `bytesWritten` of the socket does not count. */
export const sentPastNode = (socket: Socket): number => past.get(socket) ?? 0

function bytesOf(piece: Piece): Buffer {
  if (typeof piece !== 'string') return piece
  if (piece.length > scratch.length) return Buffer.from(piece, 'latin1')
  return scratch.subarray(0, scratch.write(piece, 'latin1'))
}

/**
 * What the kernel does not take now is copied and left to Node.
 *
 * Node keeps a buffer until the client has taken it, so each connection to a container had one of its own. With 64 of
 * them an answer of 100 KB took 12 % more CPU, as its bytes had left the nearest cache.
 */
export function writeNow(socket: Socket, pieces: readonly Piece[]): void {
  // Past Node only where Node has nothing to send before.
  const fd = isSecure(socket) || socket.writableLength > 0 ? undefined : fdOf(socket)
  const left = fd === undefined ? pieces : sendAll(socket, fd, pieces)
  if (left.length === 0) return
  socket.cork()
  for (const piece of left) socket.write(Buffer.from(bytesOf(piece)))
  socket.uncork()
}

/** @returns what was not sent; Node meets the error of a broken connection again, and tells it */
function sendAll(socket: Socket, fd: number, pieces: readonly Piece[]): readonly Piece[] {
  let total = sentPastNode(socket)
  let left: readonly Piece[] = []
  for (let i = 0; i < pieces.length && left.length === 0; i++) {
    const bytes = bytesOf(pieces[i]!)
    const sent = Math.max(0, sendNow(fd, bytes, i < pieces.length - 1))
    total += sent
    if (sent < bytes.length) left = [bytes.subarray(sent), ...pieces.slice(i + 1)]
  }
  past.set(socket, total)
  return left
}
