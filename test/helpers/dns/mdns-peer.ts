/** A machine on the LAN that speaks multicast DNS: hears all, asks, and claims names. Run by itself, its program. */

import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { fileURLToPath } from 'node:url'
import { decode, encode, type Packet } from 'dns-packet'
import type { TestHost } from '../cluster/hosts.ts'
import { waitFor } from '../run/wait.ts'

const GROUP = '224.0.0.251'
const PORT = 5353

/** An answer on the LAN: `web.local A 192.0.2.1 120`; of NSEC the types. */
export interface Heard {
  readonly from: string
  readonly records: readonly string[]
}

type Order = { readonly send: Packet } | { readonly claim: string | null }

export interface MdnsPeer {
  /** Answers that came since the last `forget`. */
  readonly heard: readonly Heard[]
  forget(): void
  send(packet: Packet): void
  ask(name: string, type?: string): void
  /** Says to each question for it that this machine has the name; null: it takes the name back. */
  claim(name: string | null): void
  /** Waits until a record was heard. */
  hears(record: string, limitMs?: number): Promise<void>
}

export async function mdnsPeer(host: TestHost): Promise<MdnsPeer> {
  const child: ChildProcess = host.spawn(process.execPath, fileURLToPath(import.meta.url), host.ip)
  const heard: Heard[] = []
  let isReady = false
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines)
      if (line === 'ready') isReady = true
      else heard.push(JSON.parse(line))
  })
  await waitFor('the machine on the LAN listens', 20_000, () => isReady)
  const order = (what: Order): void => void child.stdin?.write(`${JSON.stringify(what)}\n`)
  const peer: MdnsPeer = {
    heard,
    forget() {
      heard.length = 0
    },
    send: (send) => order({ send }),
    ask: (name, type = 'A') => order({ send: { type: 'query', questions: [{ name, type: type as never }] } }),
    claim: (claim) => order({ claim }),
    async hears(record, limitMs = 10_000) {
      await waitFor(`${record} is heard`, limitMs, () =>
        heard.some(({ records }) => records.includes(record)),
      )
    },
  }
  return peer
}

function textsOf({ answers = [] }: Packet): string[] {
  return answers.flatMap((a) => {
    if (a.type === 'A') return [`${a.name} A ${a.data} ${a.ttl}`]
    return a.type === 'NSEC' ? [`${a.name} NSEC ${a.data.rrtypes.join(' ')} ${a.ttl}`] : []
  })
}

/** Undefined: garbage, which a test floods the LAN with. */
function readable(bytes: Buffer): Packet | undefined {
  try {
    return decode(bytes)
  } catch {
    return undefined
  }
}

function program(own: string): void {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  const send = (packet: Packet): void => socket.send(encode(packet), PORT, GROUP)
  let claimed: string | undefined
  const answer = (ttl: number): void =>
    send({ type: 'response', answers: [{ type: 'A', name: claimed ?? '', ttl, flush: true, data: own }] })
  socket.on('message', (bytes, { address }) => {
    const packet = readable(bytes)
    if (packet === undefined) return
    if (packet.type === 'query' && packet.questions?.some(({ name }) => name === claimed)) answer(120)
    const records = packet.type === 'response' && address !== own ? textsOf(packet) : []
    if (records.length > 0) process.stdout.write(`${JSON.stringify({ from: address, records })}\n`)
  })
  socket.bind(PORT, '0.0.0.0', () => {
    socket.addMembership(GROUP, own)
    socket.setMulticastInterface(own)
    process.stdout.write('ready\n')
  })
  let rest = ''
  process.stdin.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const order of lines.map((line): Order => JSON.parse(line)))
      if ('send' in order) send(order.send)
      else if (order.claim === null) answer(0)
      else claimed = order.claim
    if (lines.some((line) => JSON.parse(line).claim === null)) claimed = undefined
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) program(process.argv[2] ?? '')
