/**
 * A program for tests: a STUN server that answers truly, and before and after that, from the very address that was
 * asked, what nobody asked for: wrong transactions with a lie. argv: `<address> <port> <lie>`. Prints `listening`.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { decodeStun, encodeStun } from '../../../gateway/dataplane/nat/stun.ts'

const [, , address = '', port = '', mapped = ''] = process.argv
const BEFORE = 50
const A_TURN = 5
const TURN_MS = 10

const socket = createSocket('udp4').on('error', () => {})
/** Who asked, by address with port: their NATs let in what comes from here. */
const askers = new Map<string, { readonly address: string; readonly port: number }>()

/** The last one differs from the true one in a single bit. */
function spoof(count: number, to: { readonly address: string; readonly port: number }, asked?: string): void {
  const near =
    asked === undefined ? [] : [`${asked.slice(0, -1)}${(Number(`0x${asked.at(-1)}`) ^ 1).toString(16)}`]
  const all = [...Array.from({ length: count }, () => randomBytes(12).toString('hex')), ...near]
  for (const transaction of all)
    socket.send(encodeStun({ kind: 'response', transaction, mapped }), to.port, to.address)
}

socket.on('message', (bytes, from) => {
  const request = decodeStun(bytes)
  if (request?.kind !== 'request') return
  const { transaction } = request
  askers.set(`${from.address}:${from.port}`, from)
  spoof(BEFORE, from, transaction)
  const truth = { kind: 'response', transaction, mapped: `${from.address}:${from.port}` } as const
  socket.send(encodeStun(truth), from.port, from.address)
  // And once more by the true transaction, which is over by then.
  socket.send(encodeStun({ ...truth, mapped }), from.port, from.address)
})
socket.bind(Number(port), address)
await once(socket, 'listening')
process.stdout.write('listening\n')
for (;;) {
  for (const to of askers.values()) spoof(A_TURN, to)
  await pause(TURN_MS)
}
