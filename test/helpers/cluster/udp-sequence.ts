/** Sends numbered packets from one container to another, and counts those that came more than once. */
import { createSocket } from 'node:dgram'
import { setTimeout as pause } from 'node:timers/promises'
import { ownProgram } from '../run/own-program.ts'

export interface Sequence {
  readonly received: number
  /** How many numbers came twice or more. */
  readonly repeated: number
  /** The highest number, which begins at 1. */
  readonly highest: number
}

const PORT = 5_005
/** From a few bytes to a full packet: short ones share a datagram, long ones fill it. */
const SIZES = [16, 200, 1_000, 1_200]

const command = (...args: string[]): string[] => ownProgram(import.meta.filename, ...args)

/** Prints what came, as a line of JSON every 100 ms. */
export const sequenceServer = (): string[] => command('server')

/** Sends until it is killed. */
export const sequenceClient = (ip: string, perSecond: number): string[] =>
  command('client', ip, String(perSecond))

function serve(): void {
  const seen = new Set<number>()
  let [received, repeated, highest] = [0, 0, 0]
  createSocket('udp4')
    .on('message', (text) => {
      const number = text.readUInt32BE(0)
      received++
      if (seen.has(number)) repeated++
      seen.add(number)
      highest = Math.max(highest, number)
    })
    .bind(PORT)
  setInterval(() => process.stdout.write(`${JSON.stringify({ received, repeated, highest })}\n`), 100)
}

async function send(ip: string, perSecond: number): Promise<void> {
  const socket = createSocket('udp4')
  const began = performance.now()
  for (let number = 1; ; number++) {
    const text = Buffer.alloc(SIZES[number % SIZES.length] ?? 16)
    text.writeUInt32BE(number)
    socket.send(text, PORT, ip)
    const next = began + (number * 1_000) / perSecond
    if (next > performance.now()) await pause(next - performance.now())
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , role, ip = '', perSecond = '0'] = process.argv
  if (role === 'server') serve()
  else await send(ip, Number(perSecond))
}
