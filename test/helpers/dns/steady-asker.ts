/**
 * A container that asks for names all the time: `node steady-asker.ts <server> <questions a second> <names>`, names in
 * turns with commas between. One socket, an id for each question. Prints `asking` after the first answer, and an
 * `Asked` when standard input ends and no answer has come for 3 s.
 */
import { createSocket } from 'node:dgram'
import { decode, encode } from 'dns-packet'
import { ownProgram } from '../run/own-program.ts'

export interface Asked {
  readonly asked: number
  readonly silent: number
  /** How often each answer came: `web NOERROR 10.100.1.10`. */
  readonly answers: Readonly<Record<string, number>>
  readonly medianMs: number
  /** 99 of 100 were faster. */
  readonly slowMs: number
  readonly slowestMs: number
}

const LAST_MS = 3_000

/** For a command line in a namespace. */
export const steadyAsker = (server: string, rate: number, names: readonly string[]): string[] =>
  ownProgram(import.meta.filename, server, rate, names.join())

function ask(server: string, rate: number, names: readonly string[]): void {
  const socket = createSocket('udp4')
  const waiting = new Map<number, { readonly name: string; readonly at: number }>()
  const took: number[] = []
  const answers: Record<string, number> = {}
  let asked = 0
  let answeredAt = 0
  socket.on('message', (bytes) => {
    const packet = decode(bytes) as ReturnType<typeof decode> & { readonly rcode?: string }
    const question = waiting.get(packet.id ?? -1)
    if (question === undefined) return
    waiting.delete(packet.id ?? -1)
    answeredAt = performance.now()
    if (took.push(answeredAt - question.at) === 1) process.stdout.write('asking\n')
    const data = (packet.answers ?? []).map((answer) => ('data' in answer ? String(answer.data) : ''))
    const text = [question.name, packet.rcode, ...data].join(' ')
    answers[text] = (answers[text] ?? 0) + 1
  })
  const since = performance.now()
  const timer = setInterval(() => {
    for (; asked < ((performance.now() - since) * rate) / 1_000; asked++) {
      const name = names[asked % names.length] ?? ''
      const id = asked % 65_536
      waiting.set(id, { name, at: performance.now() })
      const question = encode({ type: 'query', id, flags: 0x0100, questions: [{ type: 'A', name }] })
      socket.send(question, 53, server)
    }
  }, 1)
  process.stdin.on('end', () => {
    clearInterval(timer)
    const report = (): void => {
      const order = took.toSorted((a, b) => a - b)
      const at = (part: number): number =>
        Math.round((order[Math.floor((order.length - 1) * part)] ?? 0) * 10) / 10
      const result: Asked = {
        asked,
        silent: waiting.size,
        answers,
        medianMs: at(0.5),
        slowMs: at(0.99),
        slowestMs: at(1),
      }
      process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit())
    }
    answeredAt = performance.now()
    setInterval(() => {
      if (waiting.size === 0 || performance.now() > answeredAt + LAST_MS) report()
    }, 20)
  })
  process.stdin.resume()
  // A refused question is one without an answer.
  socket.on('error', () => {})
}

if (process.argv[1] === import.meta.filename) {
  const [, , server = '', rate = '', names = ''] = process.argv
  ask(server, Number(rate), names.split(','))
}
