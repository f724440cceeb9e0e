/** Takes questions by UDP on one bridge address, from the containers of its network alone. */

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { dropShort } from '../../kernel/socket-filter.node.ts'
import { fdOf } from '../base/fd.ts'
import { literalIpv4 } from '../base/literal.ts'
import { WindowLimit } from '../base/window-limit.ts'
import type { DnsListener, DnsListenerDeps, DnsListenerUser } from './listener.ts'

/** Bursts of some 2,000 questions; with the kernel's default of 208 KiB the half of them. */
const BUFFER_BYTES = 512 * 1024
/**
 * 4,000 questions of one container in a second. What comes above is dropped unanswered; the rules drop most of a flood
 * before it comes here (decision 0079).
 */
const QUESTIONS = { windowMs: 100, perClient: 400 }
/** A header: less is no question. */
const LEAST_BYTES = 12

/** @throws Error EADDRNOTAVAIL: no such address yet; EADDRINUSE: another server has the port */
export async function openUdp(deps: DnsListenerDeps): Promise<DnsListener> {
  const socket = createSocket({ type: 'udp4', lookup: literalIpv4 })
  const bound = once(socket, 'listening')
  socket.bind({ address: deps.address, port: deps.port, exclusive: true })
  try {
    await bound
  } catch (err) {
    socket.close()
    throw err
  }
  socket.setRecvBufferSize(BUFFER_BYTES)
  // Without one, what is too short is read and ignored.
  const fd = fdOf(socket)
  if (fd !== undefined) dropShort(fd, LEAST_BYTES)
  return serve(socket, deps)
}

function serve(socket: Socket, deps: DnsListenerDeps): DnsListener {
  const limit = new WindowLimit(QUESTIONS)
  const { port: boundPort } = socket.address()
  let user: DnsListenerUser = deps
  // A closed socket throws, and answers of other servers come later.
  let isClosed = false
  socket.on('error', (err) => user.failed(err))
  const sent = (err: Error | null): void => {
    // The container went away meanwhile; what it asked is of no use to it.
    if (err !== null) user.dropped('unsent')
  }
  socket.on('message', (bytes, { address, port }) => {
    const { dropped, isClient, now, resolve } = user
    if (!isClient(address)) return dropped('stranger')
    if (!limit.takes(address, now())) return dropped('flood')
    resolve({ bytes, client: address, isTcp: false }, (answer) => {
      if (!isClosed) socket.send(answer, port, address, sent)
    })
  })
  return {
    port: boundPort,
    handOver(to) {
      user = to
    },
    async close() {
      isClosed = true
      socket.close()
    },
  }
}
