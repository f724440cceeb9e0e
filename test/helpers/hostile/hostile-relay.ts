/**
 * A machine in the middle of two hosts' datagrams that passes each on and does harm besides, as stdin orders it:
 * `replay`, `truncate`, `flip`, `reorder`, `foreign`, `none`. Prints how many datagrams of its own it has sent, once a
 * second.
 */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import { ownProgram } from '../run/own-program.ts'

export const HARMS = ['replay', 'truncate', 'flip', 'reorder', 'foreign'] as const
export type Harm = (typeof HARMS)[number] | 'none'

interface Way {
  readonly listen: number
  readonly to: string
  /** What is sent from this port gets the address of the host whose datagrams these are, by translation. */
  readonly forgeFrom: number
}

export interface RelayConf {
  readonly ways: readonly Way[]
  readonly port: number
}

/** Old enough to be behind a replay window of 8,192, and young enough to be in it. */
const KEPT = 10_000
/** Around each end of a field: index 4, word 8, counter 16, tag 32; then what belongs to the text. */
const LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49]
const TURN = 8

/** The command for a namespace. */
export const hostileRelay = (conf: RelayConf): [string, ...string[]] =>
  ownProgram(import.meta.filename, JSON.stringify(conf))

let harm: Harm = 'none'
let sent = 0

class Direction {
  readonly #send: (text: Uint8Array) => void
  readonly #foreign: (text: Uint8Array) => void
  readonly #kept: Buffer[] = []
  #turned: Buffer[] = []

  constructor(send: (text: Uint8Array) => void, foreign: (text: Uint8Array) => void) {
    this.#send = send
    this.#foreign = foreign
  }

  pass(text: Buffer): void {
    this.#kept.push(text)
    if (this.#kept.length > KEPT) this.#kept.shift()
    if (harm === 'reorder') {
      this.#turned.push(text)
      if (this.#turned.length >= TURN) this.#flush()
      return
    }
    this.#flush()
    // Broken copies come first, or the replay window would refuse them before anything else looks at them.
    if (harm === 'truncate' || harm === 'flip') this.#harm(text)
    this.#send(text)
    if (harm === 'replay' || harm === 'foreign') this.#harm(text)
  }

  /** What is held back goes last first. */
  #flush(): void {
    for (const text of this.#turned.toReversed()) this.#send(text)
    sent += this.#turned.length
    this.#turned = []
  }

  #harm(text: Buffer): void {
    const old = this.#kept[Math.floor(Math.random() * this.#kept.length)] ?? text
    switch (harm) {
      case 'replay':
        for (const again of [text, text, old]) this.#own(this.#send, again)
        return
      case 'truncate':
        for (const n of [...LENGTHS, text.length >> 1, text.length - 1])
          this.#own(this.#send, text.subarray(0, n))
        return
      case 'flip':
        for (let i = 0; i < 4; i++) this.#own(this.#send, flipped(text))
        return
      case 'foreign':
        this.#own(this.#foreign, old)
        this.#own(this.#foreign, flipped(text))
        return
      case 'reorder':
      case 'none':
    }
  }

  #own(send: (text: Uint8Array) => void, text: Uint8Array): void {
    sent++
    send(text)
  }
}

function flipped(text: Buffer): Buffer {
  const copy = Buffer.from(text)
  const bit = Math.floor(Math.random() * copy.length * 8)
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return copy
}

function relay({ listen, to, forgeFrom }: Way, port: number): void {
  const front = createSocket('udp4')
  const forged = createSocket('udp4')
  forged.bind(forgeFrom)
  const backs = new Map<string, Direction>()
  const directionOf = (client: RemoteInfo): Direction => {
    const key = `${client.address}:${client.port}`
    const known = backs.get(key)
    if (known !== undefined) return known
    const back = createSocket('udp4')
    const answers = new Direction(
      (text) => front.send(text, client.port, client.address),
      (text) => front.send(text, client.port, client.address),
    )
    back.on('message', (text) => answers.pass(text))
    const made = new Direction(
      (text) => back.send(text, port, to),
      (text) => forged.send(text, port, to),
    )
    backs.set(key, made)
    return made
  }
  front.on('message', (text, client) => directionOf(client).pass(text))
  front.bind(listen)
}

if (process.argv[1] === import.meta.filename) {
  // A machine of its own would not wait for what else runs on this one.
  setPriority(-20)
  const { ways, port }: RelayConf = JSON.parse(process.argv[2] ?? '{}')
  for (const way of ways) relay(way, port)
  setInterval(() => process.stdout.write(`${sent}\n`), 200)
  createInterface({ input: process.stdin }).on('line', (line) => {
    harm = line as Harm
  })
}
