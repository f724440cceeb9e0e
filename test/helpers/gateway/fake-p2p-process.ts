/** A fake P2P process, which is only a socket: it says hello, records orders, and sends what the test wants. */

import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import {
  type FromProcess,
  LineSplitter,
  lineOf,
  P2P_PROTOCOL,
  parseToProcess,
  type SessionView,
  type ToProcess,
} from '../../../gateway/dataplane/p2p/protocol.ts'

export interface FakeOptions {
  readonly hostId?: number
  readonly protocol?: number
  readonly sessions?: readonly SessionView[]
  readonly pid?: number
  /** Accepts and never answers. */
  readonly isMute?: boolean
}

export class FakeP2pProcess {
  readonly told: ToProcess[] = []
  readonly path: string
  readonly #server: Server
  readonly #options: FakeOptions
  #sockets: Socket[] = []
  connections = 0

  private constructor(path: string, options: FakeOptions) {
    this.path = path
    this.#options = options
    this.#server = createServer((socket) => this.#accept(socket))
  }

  static async open(path: string, options: FakeOptions = {}): Promise<FakeP2pProcess> {
    const fake = new FakeP2pProcess(path, options)
    await new Promise<void>((resolve) => {
      fake.#server.listen(path, resolve)
    })
    return fake
  }

  say(message: FromProcess): void {
    this.write(lineOf(message))
  }

  write(text: string): void {
    for (const socket of this.#sockets) socket.write(text)
  }

  /** As a killed process does: its connections end and the socket's file stays. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    rmSync(this.path, { force: true })
  }

  #accept(socket: Socket): void {
    this.connections++
    this.#sockets = [...this.#sockets.filter((s) => !s.destroyed), socket]
    const lines = new LineSplitter()
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const message = parseToProcess(line)
        this.told.push(message)
        if (message.type === 'hello' && this.#options.isMute !== true) this.say(this.#hello())
        if (message.type === 'stop') void this.close()
      }
    })
  }

  #hello(): FromProcess {
    const { hostId = 1, protocol = P2P_PROTOCOL, sessions = [], pid = process.pid } = this.#options
    return {
      type: 'hello',
      protocol,
      version: '0.0.0',
      pid,
      hostId,
      device: { ifname: 'flatnet-p2p' },
      udp: { port: 7443 },
      features: { cipher: 'AES-256-GCM', gso: true, gro: true, uso: true, record: true },
      sessions,
    }
  }
}
