/**
 * For `node --import`: a gateway that has gone bad. It remembers what peers say about UDP paths, and sends members what
 * a test tells it to.
 *
 * FLATNET_BAD_MEMBER names a socket: each line is a list of `[hostId, message]`, sent as it is, and once more each 20
 * ms while the line is the last one; an empty list ends that. The answer to each line is what was heard so far.
 */
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import type { ControlMessage } from '../../../gateway/links/types.ts'

export type Orders = readonly (readonly [hostId: number, message: ControlMessage])[]
export type Heard = readonly (readonly [hostId: number, message: ControlMessage])[]

const AGAIN_MS = 20
const MAX_HEARD = 200

/** @returns what it has heard, the oldest first */
export function order(socket: string, orders: Orders): Promise<Heard> {
  const { promise, resolve, reject } = Promise.withResolvers<Heard>()
  const to = connect(socket, () => to.write(`${JSON.stringify(orders)}\n`))
  to.once('error', reject)
  createInterface({ input: to }).once('line', (line) => {
    to.end()
    resolve(JSON.parse(line))
  })
  return promise
}

async function begin(path: string): Promise<void> {
  const { Links } = await import('../../../gateway/links/links.ts')
  const { prototype } = Links
  const { handle, send } = prototype
  let links: InstanceType<typeof Links> | undefined
  let orders: Orders = []
  const heard: (readonly [number, ControlMessage])[] = []
  prototype.handle = function (prefix, handler) {
    links = this
    handle.call(this, prefix, (hostId, message) => {
      if (message.type.startsWith('p2p.') && heard.length < MAX_HEARD) heard.push([hostId, message])
      return handler(hostId, message)
    })
  }
  const act = (): void => {
    if (links !== undefined) for (const [hostId, message] of orders) send.call(links, hostId, message)
  }
  setInterval(act, AGAIN_MS).unref()
  createServer((socket) => {
    socket.on('error', () => {})
    createInterface({ input: socket }).on('line', (line) => {
      orders = JSON.parse(line)
      act()
      socket.write(`${JSON.stringify(heard)}\n`)
    })
  })
    .listen(path)
    .unref()
}

const path = process.env['FLATNET_BAD_MEMBER']
if (path !== undefined) await begin(path)
