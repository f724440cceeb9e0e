/** DNS clients and a DNS server for tests, which run inside a namespace: one word each. */

import { createSocket } from 'node:dgram'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, decode, encode, type Packet } from 'dns-packet'
import { ownProgram } from '../run/own-program.ts'

/** What the client prints: one answer. */
export interface Dug {
  /** `NOERROR`, or `silence` where none came in time. */
  readonly rcode: string
  readonly data: readonly string[]
  /** The question as the answer repeats it. */
  readonly name: string
  readonly isCut: boolean
  readonly hasEdns: boolean
  readonly bytes: number
  readonly ms: number
}

export interface Wish {
  readonly server: string
  readonly name: string
  readonly type?: string
  readonly tcp?: boolean
  readonly edns?: number
  readonly timeoutMs?: number
  readonly port?: number
  /** Sent in the place of a question, in hex. */
  readonly raw?: string
}

const MDNS_GROUP = '224.0.0.251'
const SILENCE: Dug = {
  rcode: 'silence',
  data: [],
  name: '',
  isCut: false,
  hasEdns: false,
  bytes: 0,
  ms: 0,
}

function questionOf({ name, type = 'A', edns, raw }: Wish): Buffer {
  if (raw !== undefined) return Buffer.from(raw, 'hex')
  const opt = { type: 'OPT', name: '.', udpPayloadSize: edns, flags: 0, options: [] }
  return encode({
    type: 'query',
    id: 4711,
    flags: 0x0100,
    questions: [{ type: type as never, name }],
    ...(edns !== undefined && { additionals: [opt as never] }),
  })
}

function textOf(answer: Answer): string[] {
  if (!('data' in answer)) return []
  return [answer.type === 'TXT' ? `${String(answer.data).length} bytes` : String(answer.data)]
}

function dug(bytes: Buffer, since: number): Dug {
  const packet = decode(bytes) as Packet & { readonly rcode?: string }
  return {
    rcode: packet.id === 4711 ? (packet.rcode ?? '') : 'another id',
    data: (packet.answers ?? []).flatMap(textOf),
    name: packet.questions?.[0]?.name ?? '',
    isCut: (bytes.readUInt16BE(2) & 0x0200) !== 0,
    hasEdns: (packet.additionals ?? []).some(({ type }) => type === 'OPT'),
    bytes: bytes.length,
    ms: Math.round((performance.now() - since) * 10) / 10,
  }
}

/** Asks once. */
export function dig(wish: Wish): Promise<Dug> {
  const since = performance.now()
  const { promise, resolve } = Promise.withResolvers<Dug>()
  const { server, tcp = false, timeoutMs = 6_000, port = 53 } = wish
  const timer = setTimeout(() => resolve(SILENCE), timeoutMs)
  const question = questionOf(wish)
  if (tcp) {
    const socket = connect(port, server)
    let all = Buffer.alloc(0)
    socket.on('error', () => resolve({ ...SILENCE, rcode: 'refused' }))
    socket.on('close', () => resolve({ ...SILENCE, rcode: 'closed' }))
    socket.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk])
      if (all.length >= 2 + all.readUInt16BE(0)) resolve(dug(all.subarray(2), since))
    })
    socket.write(Buffer.concat([Buffer.from([question.length >> 8, question.length & 0xff]), question]))
    return promise.finally(() => {
      clearTimeout(timer)
      socket.destroy()
    })
  }
  const socket = createSocket('udp4')
  socket.on('error', () => resolve({ ...SILENCE, rcode: 'refused' }))
  socket.on('message', (bytes) => resolve(dug(bytes, since)))
  // A group has no address to be connected to: each member answers from its own.
  if (server === MDNS_GROUP) socket.send(question, port, server)
  else socket.connect(port, server, () => socket.send(question, () => {}))
  return promise.finally(() => {
    clearTimeout(timer)
    socket.close()
  })
}

/** What the fake server answers to any name but these, whose first label says how it misbehaves. */
export const UPSTREAM_IP = '203.0.113.7'

/**
 * `dead` is silence, `fail` SERVFAIL, `slow` 300 ms; `liar` answers with other ids first, `flip` to other questions;
 * `big` is cut by UDP and whole by TCP; `lie-only` never has the right id.
 */
function upstreamAnswer(request: Packet, isTcp: boolean): { replies: Buffer[]; afterMs: number } {
  const [question] = request.questions ?? []
  const name = question?.name ?? ''
  const [label = ''] = name.toLowerCase().split('.')
  const reply = (more: Partial<Packet> = {}): Buffer =>
    encode({
      type: 'response',
      id: request.id ?? 0,
      flags: 0x0180,
      questions: request.questions ?? [],
      answers: [{ type: 'A', name, ttl: 60, data: UPSTREAM_IP }],
      additionals: (request.additionals ?? []).slice(0, 1),
      ...more,
    })
  const forged = { type: 'A', name, ttl: 60, data: '203.0.113.66' } as const
  const lie = (by: number): Buffer => reply({ id: ((request.id ?? 0) + by) % 65_536, answers: [forged] })
  const text = Array.from({ length: 8 }, () => 'x'.repeat(250))
  switch (label) {
    case 'dead':
      return { replies: [], afterMs: 0 }
    case 'fail':
      return { replies: [reply({ flags: 0x0182, answers: [] })], afterMs: 0 }
    case 'slow':
      return { replies: [reply()], afterMs: 300 }
    case 'liar':
      return { replies: [lie(1), lie(2), reply()], afterMs: 0 }
    case 'lie-only':
      return { replies: Array.from({ length: 20 }, (_, i) => lie(i + 1)), afterMs: 0 }
    case 'flip': {
      const other = reply({ questions: [{ type: 'A', name: 'bank.example' }], answers: [forged] })
      return { replies: [other, reply()], afterMs: 0 }
    }
    case 'big': {
      if (!isTcp) return { replies: [reply({ flags: 0x0380, answers: [] })], afterMs: 0 }
      return { replies: [reply({ answers: [{ type: 'TXT', name, data: text }] })], afterMs: 0 }
    }
    default:
      return { replies: [reply()], afterMs: 0 }
  }
}

export interface FakeServer {
  readonly port: number
  /** Names that were asked for, in their case. */
  readonly asked: string[]
  /** Ports from which was asked. */
  readonly from: number[]
  /** Questions by UDP as they came. */
  readonly requests: Buffer[]
  close(): void
}

/** A DNS server by UDP and TCP, on one port. */
export async function fakeUpstream(host: string, port = 0): Promise<FakeServer> {
  const asked: string[] = []
  const from: number[] = []
  const requests: Buffer[] = []
  const note = (request: Packet): void => void asked.push(request.questions?.[0]?.name ?? '')
  const udp = createSocket('udp4')
  udp.on('message', (bytes, sender) => {
    const request = decode(bytes)
    note(request)
    from.push(sender.port)
    requests.push(bytes)
    const { replies, afterMs } = upstreamAnswer(request, false)
    setTimeout(() => {
      for (const reply of replies) udp.send(reply, sender.port, sender.address)
    }, afterMs)
  })
  const tcp = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      const request = decode(chunk.subarray(2))
      note(request)
      for (const reply of upstreamAnswer(request, true).replies)
        socket.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 0xff]), reply]))
    })
  })
  await new Promise<void>((resolve) => {
    tcp.listen(port, host, resolve)
  })
  // The kernel's choice is free for TCP; by UDP hardly anything has it.
  const bound = (tcp.address() as AddressInfo).port
  await new Promise<void>((resolve) => {
    udp.bind(bound, host, resolve)
  })
  const close = (): void => {
    udp.close()
    tcp.close()
  }
  return { port: bound, asked, from, requests, close }
}

/** Below 20 questions a second, which is what mDNS answers to one client. */
const STEADY_PAUSE_MS = 60

async function digForEver(wish: Wish): Promise<never> {
  for (;;) {
    process.stdout.write(`${JSON.stringify(await dig(wish))}\n`)
    await sleep(STEADY_PAUSE_MS)
  }
}

type Program = 'dig' | 'steady' | 'upstream'

/**
 * For a command line in a namespace. `dig <wishes as JSON>` asks all at once and prints a list of `Dug`; `steady
 * <wish>` asks again and again, and prints a `Dug` a line; `upstream <address>` prints `listening`.
 */
export const dnsProgram = (program: Program, ...args: string[]): string[] =>
  ownProgram(import.meta.filename, program, ...args)

if (process.argv[1] === import.meta.filename) {
  const [, , program, argument = ''] = process.argv
  if (program === 'steady') await digForEver(JSON.parse(argument))
  else if (program === 'dig')
    process.stdout.write(`${JSON.stringify(await Promise.all(JSON.parse(argument).map(dig)))}\n`)
  else {
    await fakeUpstream(argument, 53)
    process.stdout.write('listening\n')
  }
}
