/** Tries one TURN server from a socket of its own: whether it takes this host in, and how far it is. */

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../../core/clock.ts'
import { TurnAllocation, type TurnServer, type TurnView } from './allocation.ts'

/** Longer than what a silent server takes to be given up: 4.5 s. */
const WAIT_MS: Millis = 6_000
const TICK_MS: Millis = 10

export type TurnTrial = Omit<TurnView, 'name'> & { readonly server: string }

/** What it gives is given back at once. */
export async function tryTurnServer(
  server: TurnServer,
  mayBeRelayed: (endpoint: string) => boolean,
): Promise<TurnTrial> {
  const socket = createSocket(server.address.startsWith('[') ? 'udp6' : 'udp4')
  // Of a datagram, e.g. no route: the server then gives no answer, which is said.
  socket.on('error', () => {})
  try {
    socket.bind(0)
    await once(socket, 'listening')
    const { name, ...view } = await allocated(server, socket, mayBeRelayed)
    return { server: name, ...view }
  } catch (err) {
    return {
      server: server.name,
      state: 'waiting',
      problem: err instanceof Error ? err.message : String(err),
    }
  } finally {
    socket.close()
  }
}

async function allocated(
  server: TurnServer,
  socket: Socket,
  mayBeRelayed: (endpoint: string) => boolean,
): Promise<TurnView> {
  const allocation = new TurnAllocation(server, {
    newTransaction: () => randomBytes(12).toString('hex'),
    wallNow: () => Date.now(),
    mayBeRelayed,
    knows: () => false,
    bound() {},
    unbound() {},
    changed() {},
  })
  const [, v6, v4, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(server.address) ?? []
  const send = async (bytes: Uint8Array): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    socket.send(bytes, Number(port), v6 ?? v4, () => resolve())
    await promise
  }
  const began = performance.now()
  socket.on('message', (bytes, from) => {
    if (from.address === (v6 ?? v4)) allocation.received(bytes, performance.now())
  })
  // An address that nothing is sent from (RFC 5737): the permission for it costs nothing.
  allocation.want(new Set(['192.0.2.1']), began)
  for (let now = began; now - began < WAIT_MS; now = performance.now()) {
    for (const bytes of allocation.tick(now)) await send(bytes)
    const { view } = allocation
    if (view.state !== 'idle' && view.state !== 'asking') {
      const release = allocation.release()
      if (release !== undefined) await send(release)
      return view
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  return { name: server.name, state: 'waiting', problem: 'it does not answer' }
}
