/** Tries one TURN server from a socket of its own: whether it takes this host in, and how far it is. */

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../../core/clock.ts'
import { addressesOf, TurnAllocation, type TurnServer, type TurnView } from './allocation.ts'
import { LOOK_FURTHER, NO_ANSWER } from './problems.ts'

/** A silent address is given up after 4.5 s; this is longer. */
const WAIT_MS: Millis = 6_000
const TICK_MS: Millis = 10

export type TurnTrial = Omit<TurnView, 'name'> & { readonly server: string }

/** What it gives is given back at once. */
export async function tryTurnServer(
  server: TurnServer,
  mayBeRelayed: (endpoint: string) => boolean,
): Promise<TurnTrial> {
  const { name, address } = server
  const sockets = { 4: createSocket('udp4'), 6: createSocket('udp6') }
  try {
    const isBound = await Promise.all(Object.values(sockets).map(bound))
    if (!isBound[address.startsWith('[') ? 1 : 0]) throw new Error('this host has no such addresses')
    const { name: _, ...view } = await allocated(server, sockets, mayBeRelayed)
    return { server: name, ...view }
  } catch (err) {
    const problem = err instanceof Error ? err.message : String(err)
    return { server: name, state: 'waiting', problem, remedy: LOOK_FURTHER }
  } finally {
    for (const socket of Object.values(sockets)) socket.close()
  }
}

/** @returns false: e.g. this kernel has no IPv6 */
async function bound(socket: Socket): Promise<boolean> {
  // Later, of a datagram, e.g. no route: the server then gives no answer, which is said.
  const failed = new Promise<false>((resolve) => socket.on('error', () => resolve(false)))
  socket.bind(0)
  return Promise.race([once(socket, 'listening').then(() => true), failed])
}

type Sockets = Readonly<Record<4 | 6, Socket>>

async function allocated(
  server: TurnServer,
  sockets: Sockets,
  mayBeRelayed: (endpoint: string) => boolean,
): Promise<TurnView> {
  const allocation = new TurnAllocation(server, {
    newTransaction: () => randomBytes(12).toString('hex'),
    wallNow: () => Date.now(),
    mayBeRelayed,
    mayAsk: mayBeRelayed,
    knows: () => false,
    bound() {},
    unbound() {},
    changed() {},
  })
  const send = async (bytes: Uint8Array): Promise<void> => {
    const { host, port, family } = partsOf(allocation.address)
    const { promise, resolve } = Promise.withResolvers<void>()
    sockets[family].send(bytes, port, host, () => resolve())
    await promise
  }
  const began = performance.now()
  for (const socket of Object.values(sockets))
    socket.on('message', (bytes, from) => {
      if (from.address === partsOf(allocation.address).host) allocation.received(bytes, performance.now())
    })
  // An address that nothing is sent from (RFC 5737): the permission for it costs nothing.
  allocation.want(new Set(['192.0.2.1']), began)
  const waitMs = WAIT_MS * addressesOf(server).length
  for (let now = began; now - began < waitMs; now = performance.now()) {
    for (const bytes of allocation.tick(now)) await send(bytes)
    const { view } = allocation
    if (view.state !== 'idle' && view.state !== 'asking') {
      const release = allocation.release()
      if (release !== undefined) await send(release)
      return view
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  return { name: server.name, state: 'waiting', ...NO_ANSWER }
}

function partsOf(address: string): { readonly host: string; readonly port: number; readonly family: 4 | 6 } {
  const [, v6, v4 = '', port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(address) ?? []
  return { host: v6 ?? v4, port: Number(port), family: v6 === undefined ? 4 : 6 }
}
