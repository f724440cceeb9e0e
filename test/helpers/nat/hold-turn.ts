/**
 * Holds an allocation on a TURN server from this namespace, as the P2P process does. argv: the server as JSON, and how
 * long credentials of its secret last, ms. Each line of stdout is what it has now: the allocation's view, how many
 * datagrams came through the server, and the longest time between two of them.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import {
  TurnAllocation,
  type TurnServer,
  type TurnView,
} from '../../../gateway/dataplane/nat/turn/allocation.ts'

export interface HeldTurn extends TurnView {
  /** How often it got an allocation. */
  readonly times: number
  readonly datagrams: number
  readonly worstGapMs: number
}

const TICK_MS = 20
const TELL_MS = 200

async function hold(server: TurnServer, loginLifeMs: number, peers: readonly string[]): Promise<void> {
  const socket = createSocket('udp4').on('error', () => {})
  socket.bind(0)
  await once(socket, 'listening')
  let [datagrams, worstGapMs, times, state, lastAt] = [0, 0, 0, '', Number.NaN]
  const allocation = new TurnAllocation(server, {
    newTransaction: () => randomBytes(12).toString('hex'),
    wallNow: () => Date.now(),
    mayBeRelayed: () => true,
    mayAsk: () => true,
    loginLifeMs,
    // Of every datagram that a peer sent to the relayed address.
    knows() {
      const now = performance.now()
      if (datagrams++ > 0) worstGapMs = Math.max(worstGapMs, now - lastAt)
      lastAt = now
      return false
    },
    bound() {},
    unbound() {},
    changed() {
      const { view } = allocation
      if (view.state === 'ready' && state !== 'ready') times++
      state = view.state
    },
  })
  const [host = '', port] = server.address.split(':')
  socket.on('message', (bytes) => void allocation.received(bytes, performance.now()))
  for (let toldAt = 0; ; await pause(TICK_MS)) {
    const now = performance.now()
    allocation.want(new Set(peers), now)
    for (const bytes of allocation.tick(now)) socket.send(bytes, Number(port), host)
    if (now - toldAt < TELL_MS) continue
    toldAt = now
    const held: HeldTurn = { ...allocation.view, times, datagrams, worstGapMs: Math.round(worstGapMs) }
    process.stdout.write(`${JSON.stringify(held)}\n`)
  }
}

const [, , server, lifeMs, ...peers] = process.argv
if (import.meta.main && server !== undefined) await hold(JSON.parse(server), Number(lifeMs), peers)
