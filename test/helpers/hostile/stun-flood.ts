/**
 * A program for tests: floods UDP ports with STUN, by turns questions and answers that nobody asked for, from so many
 * addresses. argv: `<lie> <sources, by commas> <targets, by commas>`. Prints how many went each second.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { encodeStun } from '../../../gateway/dataplane/nat/stun.ts'

const [, , lie = '', sources = '', targets = ''] = process.argv
const A_TURN = 20
const TURN_MS = 5

const sockets = await Promise.all(
  sources.split(',').map(async (address) => {
    const socket = createSocket('udp4').on('error', () => {})
    socket.bind(0, address)
    await once(socket, 'listening')
    return socket
  }),
)
let sent = 0
setInterval(() => process.stdout.write(`${sent}\n`), 1_000)
for (;;) {
  for (let n = 0; n < A_TURN; n++) {
    const transaction = randomBytes(12).toString('hex')
    const bytes =
      n % 2 === 0
        ? encodeStun({ kind: 'request', transaction })
        : encodeStun({ kind: 'response', transaction, mapped: lie })
    for (const target of targets.split(',')) {
      const [ip = '', port] = target.split(':')
      sockets[sent++ % sockets.length]?.send(bytes, Number(port), ip)
    }
  }
  await pause(TURN_MS)
}
