/** Connections that last, between containers: what came over each while paths switched below it, number by number. */
import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { connect, createServer as listenTcp, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { WebSocket, WebSocketServer } from 'ws'
import { ownProgram } from '../run/own-program.ts'
import { waitFor } from '../run/wait.ts'
import type { HostContainer } from './host-container.ts'

const ECHO_PORT = 9201
const WEB_PORT = 9202
const BULK_PORT = 9203
const EVERY_MS = 20
const CHUNK_BYTES = 1 << 20

export type Kind = 'tcp' | 'websocket' | 'sse' | 'bulk'

/** A number, or a piece of the bulk, when it came (ms since the epoch), and how long after the one before. */
export interface Arrival {
  readonly at: number
  readonly gapMs: number
}

export interface LongConnection {
  readonly arrivals: readonly Arrival[]
  /** Of the bulk, so far. */
  readonly bytes: number
  /** Waits until so many more have come. */
  more(count: number): Promise<void>
  /**
   * Ends the client. @returns what it said last, e.g. the sum of a bulk; throws when the connection broke or a number
   * was lost
   */
  stop(): Promise<string>
}

const command = (...argv: string[]): string[] => ownProgram(import.meta.filename, ...argv)

/** Answers connections of all kinds in the container until the test ends. @returns the lines that it prints */
export async function serveLong(container: HostContainer): Promise<readonly string[]> {
  const child = container.spawn(...command('serve'))
  const lines: string[] = []
  linesOf(child, (line) => lines.push(line))
  await waitFor(`${container.name} answers`, 20_000, () => {
    const listening = container.ns.exec('ss', '-Hltn')
    return [ECHO_PORT, WEB_PORT, BULK_PORT].every((port) => listening.includes(`:${port} `))
  })
  return lines
}

export async function openLong(from: HostContainer, to: HostContainer, kind: Kind): Promise<LongConnection> {
  const child = from.spawn(...command(kind, to.ip))
  const arrivals: Arrival[] = []
  let last = ''
  let bytes = 0
  let problem: string | undefined
  linesOf(child, (line) => {
    const { gapMs, at, size, said, failed } = JSON.parse(line)
    if (gapMs !== undefined) arrivals.push({ at, gapMs })
    bytes += size ?? 0
    last = said ?? last
    problem ??= failed
  })
  const more = async (count: number): Promise<void> => {
    const want = arrivals.length + count
    await waitFor(
      `${kind}: number ${want} comes`,
      20_000,
      () => problem !== undefined || arrivals.length >= want,
    )
    if (problem !== undefined) throw new Error(`${kind}: ${problem}`)
  }
  await more(10)
  return {
    arrivals,
    get bytes() {
      return bytes
    },
    more,
    async stop() {
      child.stdin?.end()
      if (child.exitCode === null) await once(child, 'close')
      if (problem !== undefined) throw new Error(`${kind}: ${problem}`)
      return last
    },
  }
}

/** The longest gap of each time, by what came within `aroundMs` of it; and of everything else. */
export function gapsAround(
  arrivals: readonly Arrival[],
  times: readonly number[],
  aroundMs: number,
): { readonly at: number[]; readonly elsewhere: number } {
  // A gap lies before the arrival that ends it.
  const isNear = ({ at, gapMs }: Arrival, time: number): boolean =>
    at >= time - aroundMs && at - gapMs <= time + aroundMs
  const longest = (those: readonly Arrival[]): number => Math.max(0, ...those.map(({ gapMs }) => gapMs))
  return {
    at: times.map((time) => longest(arrivals.filter((arrival) => isNear(arrival, time)))),
    elsewhere: longest(arrivals.filter((arrival) => !times.some((time) => isNear(arrival, time)))),
  }
}

function linesOf({ stdout }: ChildProcess, listener: (line: string) => void): void {
  if (stdout === null) throw new Error('the program has no stdout')
  createInterface(stdout).on('line', listener)
}

function serve(): void {
  listenTcp((socket) => socket.on('error', () => socket.destroy()).pipe(socket)).listen(ECHO_PORT)
  const web = createServer((_, res) => {
    res.setHeader('content-type', 'text/event-stream')
    let n = 0
    const timer = setInterval(() => res.write(`data: ${n++}\n\n`), EVERY_MS)
    res.on('close', () => clearInterval(timer))
  }).listen(WEB_PORT)
  new WebSocketServer({ server: web }).on('connection', (ws) =>
    ws.on('message', (data) => ws.send(String(data))),
  )
  listenTcp({ allowHalfOpen: true }, (socket) => void sendBulk(socket)).listen(BULK_PORT)
}

/**
 * Random bytes, which no layer can guess, until the client ends its side: a chunk each 20 ms, 50 MiB/s. Prints their
 * sum.
 */
async function sendBulk(socket: Socket): Promise<void> {
  const hash = createHash('sha256')
  let isOver = false
  socket
    .on('error', () => socket.destroy())
    .on('end', () => {
      isOver = true
    })
  socket.resume()
  const chunk = randomBytes(CHUNK_BYTES)
  for (let n = 0; !isOver && !socket.destroyed; n++) {
    const due = new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    // Another chunk each time, and cheap to make.
    chunk.writeUInt32BE(n, (n * 4) % CHUNK_BYTES)
    hash.update(chunk)
    if (!socket.write(Buffer.from(chunk))) await once(socket, 'drain').catch(() => socket.destroy())
    await due
  }
  socket.end()
  process.stdout.write(`sent ${hash.digest('hex')}\n`)
}

type Note = ReturnType<typeof noting>

/** Reports each number that comes back over one connection. */
const clients: Readonly<Record<Exclude<Kind, 'bulk'>, (ip: string, note: Note) => void>> = {
  websocket(ip, note) {
    const ws = new WebSocket(`ws://${ip}:${WEB_PORT}/`)
    ws.on('open', () => eachNumber((n) => ws.send(String(n))))
    ws.on('message', (data) => note.number(String(data)))
    ws.on('close', () => note.failed('closed')).on('error', (error) => note.failed(error.message))
  },
  sse(ip, note) {
    get(`http://${ip}:${WEB_PORT}/`, (res) => {
      createInterface(res).on('line', (line) => line !== '' && note.number(line.replace('data: ', '')))
      res.on('close', () => note.failed('closed'))
    }).on('error', (error) => note.failed(error.message))
  },
  tcp(ip, note) {
    const socket = connect({ host: ip, port: ECHO_PORT, noDelay: true })
    socket.on('connect', () => eachNumber((n) => socket.write(`${n}\n`)))
    socket.on('close', () => note.failed('closed')).on('error', (error) => note.failed(error.message))
    createInterface(socket)
      .on('line', (line) => note.number(line))
      .on('error', () => {}) // The socket has said it.
  },
}

function eachNumber(send: (n: number) => void): void {
  let n = 0
  setInterval(() => send(n++), EVERY_MS)
}

function client(kind: string, ip: string): void {
  const note = noting()
  if (kind === 'bulk') {
    receiveBulk(ip, note)
    return
  }
  clients[kind as keyof typeof clients](ip, note)
  process.stdin.resume().on('end', () => process.exit())
}

function receiveBulk(ip: string, note: Note): void {
  const hash = createHash('sha256')
  let bytes = 0
  const socket = connect({ host: ip, port: BULK_PORT, allowHalfOpen: true })
  socket.on('data', (data: Buffer) => {
    hash.update(data)
    bytes += data.byteLength
    note.came(data.byteLength)
  })
  socket.on('error', (error) => note.failed(error.message))
  socket.on('end', () => {
    note.said(`${bytes} ${hash.digest('hex')}`)
    process.exit()
  })
  process.stdin.resume().on('end', () => socket.end())
}

function noting() {
  let next = 0
  let at = performance.now()
  const say = (what: object): boolean => process.stdout.write(`${JSON.stringify(what)}\n`)
  const came = (size?: number): void => {
    const now = performance.now()
    say({ at: Math.round(performance.timeOrigin + now), gapMs: Math.round(now - at), size })
    at = now
  }
  return {
    came,
    number(text: string): void {
      if (text !== String(next)) say({ failed: `${text} came instead of ${next}` })
      next++
      came()
    },
    failed: (what: string) => void say({ failed: what }),
    said: (what: string) => void say({ said: what }),
  }
}

const [, program, kind = '', ip = ''] = process.argv
if (program === import.meta.filename) kind === 'serve' ? serve() : client(kind, ip)
