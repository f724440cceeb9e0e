/** Asks for names inside a container of bench/dns.ts, and prints what it measured as JSON. */

import { createSocket } from 'node:dgram'
import { encode } from 'dns-packet'
import { dig } from '../test/helpers/dns/dns-programs.ts'

/** `rate`: so many questions in a second, for so many seconds. */
interface Load {
  readonly kind: 'load'
  readonly server: string
  readonly name: string
  readonly rate: number
  readonly seconds: number
}

/** One question after the other, to each server in turn. */
interface Turns {
  readonly kind: 'turns'
  readonly servers: readonly string[]
  readonly name: string
  readonly rounds: number
}

/** Asks until the name is there. */
interface Poll {
  readonly kind: 'poll'
  readonly server: string
  readonly name: string
}

export type Order = Load | Turns | Poll

const STEP_MS = 20
const LATE_MS = 300

/** How many were answered. */
async function load({ server, name, rate, seconds }: Load): Promise<number> {
  const socket = createSocket('udp4')
  let answered = 0
  socket.on('message', () => {
    answered++
  })
  await new Promise<void>((resolve) => {
    socket.connect(53, server, resolve)
  })
  const question = encode({ type: 'query', id: 1, flags: 0x0100, questions: [{ type: 'A', name }] })
  const since = performance.now()
  let sent = 0
  while (performance.now() - since < seconds * 1_000) {
    const due = Math.floor(((performance.now() - since) / 1_000) * rate)
    for (; sent < due; sent++) socket.send(question, () => {})
    await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
  await new Promise((resolve) => setTimeout(resolve, LATE_MS))
  socket.close()
  return answered
}

/** Milliseconds of each answer, by server. */
async function turns({ servers, name, rounds }: Turns): Promise<number[][]> {
  const times = servers.map((): number[] => [])
  for (let n = 0; n < rounds; n++)
    for (const [i, server] of servers.entries()) {
      const since = performance.now()
      await dig({ server, name })
      times[i]?.push(performance.now() - since)
    }
  return times
}

/** When the name was there, ms since 1970. */
async function poll({ server, name }: Poll): Promise<number> {
  for (;;) {
    const { rcode } = await dig({ server, name, timeoutMs: 1_000 })
    if (rcode === 'NOERROR') return Date.now()
  }
}

const order: Order = JSON.parse(process.argv[2] ?? '')
const measured = await (order.kind === 'load'
  ? load(order)
  : order.kind === 'turns'
    ? turns(order)
    : poll(order))
process.stdout.write(`${JSON.stringify(measured)}\n`)
