/**
 * A program for tests: a STUN server with two addresses and two ports that knows CHANGE-REQUEST (RFC 5780).
 * argv: `<address> <other address> <port> <other port> [what it says instead of the truth]`. Prints `listening` once
 * all four sockets are bound, and `asked` for the first question.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { decodeStun, encodeStun } from '../../../gateway/dataplane/nat/stun.ts'

const [, , first = '', second = '', firstPort = '', secondPort = '', lie] = process.argv
const addresses = [first, second]
const ports = [Number(firstPort), Number(secondPort)]
let isAsked = false
const sockets = new Map<string, Socket>()

for (const [a, address] of addresses.entries())
  for (const [p, port] of ports.entries()) {
    const socket = createSocket('udp4')
    socket.on('message', (bytes, from) => {
      const request = decodeStun(bytes)
      if (request?.kind !== 'request') return
      if (!isAsked) process.stdout.write('asked\n')
      isAsked = true
      const by = sockets.get(`${request.change?.address ? 1 - a : a} ${request.change?.port ? 1 - p : p}`)
      const answer = encodeStun({
        kind: 'response',
        transaction: request.transaction,
        mapped: lie ?? `${from.address}:${from.port}`,
        other: `${addresses[1 - a]}:${ports[1 - p]}`,
        software: 'test',
      })
      by?.send(answer, from.port, from.address)
    })
    socket.bind(port, address)
    await once(socket, 'listening')
    sockets.set(`${a} ${p}`, socket)
  }
process.stdout.write('listening\n')
