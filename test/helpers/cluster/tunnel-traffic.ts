/** Small clients and servers that tests of the tunnel run inside hosts; each prints its result as a JSON line. */
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { ownProgram } from '../run/own-program.ts'

const print = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

/** `serve <port>`: answers a TCP connection with the SHA-256 of what it sent; returns UDP datagrams as they are. */
function serve(port = '0'): void {
  const tcp = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256')
    socket.on('error', () => {})
    socket.on('data', (chunk) => hash.update(chunk))
    socket.on('end', () => socket.end(hash.digest('hex')))
  })
  const udp = createSocket('udp4')
  udp.on('message', (message, from) => udp.send(message, from.port, from.address))
  udp.bind(Number(port), '0.0.0.0', () =>
    tcp.listen({ port: Number(port), backlog: 2_000 }, () => print('listening')),
  )
}

/** Sends `bytes` bytes and compares the sums. @returns whether they are equal */
async function transfer(
  address: string,
  port: number,
  bytes: number,
  progress?: (sent: number) => void,
): Promise<boolean> {
  const socket: Socket = connect(port, address)
  const hash = createHash('sha256')
  const block = randomBytes(Math.min(bytes, 1 << 18))
  let answer = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    answer += text
  })
  for (let sent = 0; sent < bytes; sent += block.byteLength) {
    const part = block.subarray(0, bytes - sent)
    hash.update(part)
    if (!socket.write(Buffer.from(part))) await once(socket, 'drain')
    progress?.(sent)
  }
  socket.end()
  await once(socket, 'close')
  return answer === hash.digest('hex')
}

/** `send <address> <port> <MiB>`: one connection; prints progress after every MiB. */
async function send(address = '', port = '0', mebibytes = '1'): Promise<void> {
  let told = 0
  const equal = await transfer(address, Number(port), Number(mebibytes) << 20, (sent) => {
    if (sent >> 20 === told) return
    told = sent >> 20
    print({ sent: told })
  })
  print({ equal })
}

/** `many <address> <port> <connections> <bytes>`: all at once. */
async function many(address = '', port = '0', connections = '1', bytes = '1'): Promise<void> {
  const all = await Promise.allSettled(
    Array.from({ length: Number(connections) }, () => transfer(address, Number(port), Number(bytes))),
  )
  print({ equal: all.filter((one) => one.status === 'fulfilled' && one.value).length })
}

/** `udp <address> <port> <size …>`: sends each up to five times until it comes back; prints the sizes that did. */
async function udp(address = '', port = '0', ...sizes: string[]): Promise<void> {
  const socket = createSocket('udp4')
  const back: number[] = []
  for (const size of sizes.map(Number)) {
    const message = randomBytes(size)
    for (let attempt = 0; attempt < 5 && back.at(-1) !== size; attempt++) {
      const answer = new Promise<Buffer | undefined>((resolve) => {
        const timer = setTimeout(() => resolve(undefined), 1_000)
        socket.once('message', (got) => {
          clearTimeout(timer)
          resolve(got)
        })
      })
      socket.send(message, Number(port), address)
      if ((await answer)?.equals(message)) back.push(size)
      socket.removeAllListeners('message')
    }
  }
  socket.close()
  print({ back })
}

/**
 * `blast <address> <port>`: sends a few hundred 20 KB datagrams a second: too many for a stuck peer, not for the
 * device.
 */
function blast(address = '', port = '0'): void {
  const socket = createSocket('udp4')
  const message = randomBytes(20_000)
  setInterval(() => socket.send(message, Number(port), address), 2)
}

const PROGRAMS = { serve, send, many, udp, blast } as const
type Program = keyof typeof PROGRAMS

/** The command line of one of the programs above. */
export const traffic = (program: Program, ...args: (string | number)[]): [string, ...string[]] =>
  ownProgram(import.meta.filename, program, ...args)

if (process.argv[1] === import.meta.filename) {
  const [, , program = '', ...args] = process.argv
  await PROGRAMS[program as Program]?.(...args)
}
