/** What the fast path assumes of Node's server: its listener may come later, on a read socket. */

import { once } from 'node:events'
import { METHODS, Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t from 'tap'
import { methodStart } from '../../../../../gateway/ingress/fast/for-node.ts'
import { NodeConnections, takeNodeListeners } from '../../../../../gateway/ingress/fast/node-connection.ts'
import type { ParserError } from '../../../../../gateway/ingress/fast/server.ts'

const HOW =
  'gateway/ingress/fast/node-connection.ts hands sockets to this listener: read connectionListener in ' +
  `lib/_http_server.js of Node ${process.versions.node} and change takeNodeListeners`

t.test('Node handles a new connection in one listener, connectionListener', async (t) => {
  const names = new Server().listeners('connection').map((l) => l.name)
  t.same(names, ['connectionListener'], HOW)
})

t.test(
  'without it, Node does nothing with a connection; called later, it serves what was read before',
  async (t) => {
    const server = new Server((req, res) => {
      req.resume()
      req.on('end', () => res.end(`<${req.method} ${req.url}>`))
    })
    const nodeListeners = takeNodeListeners(server)
    t.teardown(() => server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    t.teardown(() => client.destroy())
    client.write(
      'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na',
    )
    const [socket] = (await once(server, 'connection')) as [Socket]
    t.same(socket.eventNames().includes('data'), false, `no listener of Node reads it. ${HOW}`)
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    socket.pause()
    socket.unshift(bytes)
    for (const listener of nodeListeners) listener.call(server, socket)
    socket.resume()
    client.write('bcGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of client) text += String(chunk)
    t.same(text.match(/<[^>]+>/g), ['<GET /1>', '<POST /2>', '<GET /3>'], `all of it is served. ${HOW}`)
  },
)

t.test(
  'an error for a method tells the first character that fits none, and when the request began',
  async (t) => {
    const server = new Server(() => {})
    t.teardown(() => server.close())
    const node = new NodeConnections(server)
    server.on('connection', (socket) => node.give(socket))
    let refused: ParserError | undefined
    let hasBegunNow = false
    server.on('clientError', (err, socket) => {
      refused = err
      hasBegunNow = node.hasBegunNow(socket as Socket)
      socket.destroy()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const send = async (...packets: string[]): Promise<number | undefined> => {
      const client = connect(port, '127.0.0.1').setNoDelay(true)
      for (const packet of packets) {
        client.write(packet)
        await new Promise((resolve) => setTimeout(resolve, packets.length > 1 ? 20 : 0))
      }
      if (!client.destroyed) await once(client.resume(), 'close')
      return refused?.rawPacket && methodStart(refused.rawPacket, refused.bytesParsed ?? -1, 'head')
    }
    const rest = ' / HTTP/1.1\r\nHost: a\r\n\r\n'
    const parts = METHODS.flatMap((method) => [method.slice(0, 1), method.slice(0, -1), method])
    for (const method of new Set([...parts.map((part) => `${part}z`), 'z', '!', 'get', 'LIST'])) {
      t.equal(await send(`GET${rest}${method}${rest}`), `GET${rest}`.length, `${method}. ${HOW}`)
      t.ok(hasBegunNow, `${method}. ${HOW}`)
    }
    await send(`GET${rest}UN`, `LIST${rest}`)
    t.equal(refused?.rawPacket?.toString('latin1', 0, 4), 'LIST')
    t.notOk(hasBegunNow, `not LIST but UNLIST. ${HOW}`)
  },
)
