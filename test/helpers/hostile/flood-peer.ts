/**
 * A member that sends as much as it can: one kind of bytes, again and again, over so many control connections.
 *
 * It makes them anew when they are closed. Run in the host's namespace; a line of stdin is `<kind> <connections>` or
 * `stop`, and each is answered by a line.
 */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { TLSSocket } from 'node:tls'
import { encodeFrame, encodeMessage, FrameType } from '../../../gateway/links/frames.ts'
import { Alpn, dialPeer } from '../../../gateway/links/tls.ts'
import type { TestHost } from '../cluster/hosts.ts'
import { ownProgram } from '../run/own-program.ts'
import { waitFor } from '../run/wait.ts'
import { identityIn } from './hostile-peer.ts'

const MB = 1_000_000
const filled = (unit: string, bytes: number): string => unit.repeat(Math.floor(bytes / unit.length))
const text = (json: string): Buffer => encodeFrame(FrameType.message, Buffer.from(json))

/** What one connection sends, over and over. */
const KINDS = {
  /** 20 MB of JSON. */
  long: () => text(`{"type":"x","pad":[${filled('"padding",', 20 * MB)}0]}`),
  /** 15 MB of a message that has 30. */
  torn: () => text(`{"type":"x","pad":"${filled('x', 30 * MB)}"}`).subarray(0, 15 * MB),
  objects: () => text(`{"type":"x","pad":[${filled('{},', MB)}0]}`),
  nested: () => text(`{"type":"x","pad":${filled('[', MB / 2)}${filled(']', MB / 2)}}`),
  keys: () => text(`{"type":"x"${Array.from({ length: 90_000 }, (_, n) => `,"k${n}":1`).join('')}}`),
  /** The whole table is asked for, 60,000 times in 800 KB. */
  digest: () =>
    text(`{"type":"registry.digest","scope":"all","know":[${filled('[1,0,0],', 480_000)}[1,0,0]]}`),
  wants: () =>
    Buffer.concat(
      Array.from({ length: 1_000 }, (_, n) =>
        encodeMessage({ type: 'registry.want', hostId: 1, epoch: 0, seq: n }),
      ),
    ),
  pings: () =>
    Buffer.concat(Array.from({ length: 1_000 }, () => encodeFrame(FrameType.ping, Buffer.alloc(8)))),
} as const satisfies Readonly<Record<string, () => Buffer>>

export type FloodKind = keyof typeof KINDS

export interface Flooded {
  readonly connections: number
  readonly sentMb: number
  readonly heardMb: number
}

export interface FloodPeer {
  /** Resolves when the first connection stands. */
  flood(kind: FloodKind, connections: number): Promise<void>
  /** Ends all connections. */
  stop(): Promise<Flooded>
}

/** Takes the place of the gateway of `own`, which does not run. */
export function floodPeer(own: TestHost, to: TestHost): FloodPeer {
  const argv = ownProgram(import.meta.filename)
  const child: ChildProcess = own.spawn(...argv, own.dataDir, String(to.index), `${to.ip}:7443`)
  const said: string[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => said.push(line))
  const order = (line: string): Promise<string> => {
    child.stdin?.write(`${line}\n`)
    return waitFor(`the hostile member does ${line}`, 20_000, () => said.shift())
  }
  return {
    flood: async (kind, connections) => void (await order(`${kind} ${connections}`)),
    stop: async () => JSON.parse(await order('stop')),
  }
}

/** How long a closed connection waits for the next. */
const AGAIN_MS = 50

/** One phase: a kind over so many connections. */
class Flood {
  readonly #dial: () => TLSSocket
  readonly #bytes: Buffer
  readonly #reads: boolean
  readonly #open = new Set<TLSSocket>()
  #isOver = false
  #made = 0
  #sent = 0
  #heard = 0

  constructor(kind: FloodKind, dial: () => TLSSocket) {
    this.#dial = dial
    this.#bytes = KINDS[kind]()
    this.#reads = kind !== 'pings'
  }

  /** @param first called when a connection stands, once */
  connect(first?: () => void): void {
    if (this.#isOver) return
    const socket = this.#dial()
    this.#open.add(socket)
    socket.on('error', () => {})
    socket.once('secureConnect', () => {
      this.#made++
      first?.()
      this.#write(socket)
    })
    if (this.#reads)
      socket.on('data', (chunk: Buffer) => {
        this.#heard += chunk.length
      })
    socket.once('close', () => {
      this.#open.delete(socket)
      setTimeout(() => this.connect(), AGAIN_MS)
    })
  }

  end(): Flooded {
    this.#isOver = true
    for (const socket of this.#open) socket.destroy()
    const mb = (bytes: number): number => Math.round(bytes / MB)
    return { connections: this.#made, sentMb: mb(this.#sent), heardMb: mb(this.#heard) }
  }

  #write(socket: TLSSocket): void {
    while (!socket.destroyed) {
      this.#sent += this.#bytes.length
      if (!socket.write(this.#bytes)) break
    }
    socket.once('drain', () => this.#write(socket))
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , dataDir = '', hostId = '', endpoint = ''] = process.argv
  const identity = identityIn(dataDir)
  const dial = (): TLSSocket => dialPeer(identity, Number(hostId), endpoint, Alpn.control, () => undefined)
  let flood: Flood | undefined
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'stop') process.stdout.write(`${JSON.stringify(flood?.end())}\n`)
    else {
      const [kind = '', count = '1'] = line.split(' ')
      const next = new Flood(kind as FloodKind, dial)
      flood = next
      next.connect(() => process.stdout.write('open\n'))
      for (let n = 1; n < Number(count); n++) next.connect()
    }
  })
}
