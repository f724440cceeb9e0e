/**
 * Routers that lie, flood, redirect and hang, on loopback: each question ends in time, and only the router is heard.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { askHttp } from '../../../../../gateway/dataplane/nat/port-mapping/igd-http.ts'
import { decodeAddress } from '../../../../../gateway/dataplane/nat/port-mapping/nat-pmp.ts'
import { askRouter } from '../../../../../gateway/dataplane/nat/port-mapping/router-socket.ts'
import { findDescription } from '../../../../../gateway/dataplane/nat/port-mapping/ssdp.ts'

const ROUTER = '127.0.0.1'
const STRANGER = '127.0.0.9'
const place = { gateway: ROUTER, ownAddress: '127.0.0.1' }
const ADDRESS = Uint8Array.fromHex('0080000000000064cb007105')
const never = new AbortController().signal

/** A UDP server of the router, and a socket of another host that knows whom to write to. */
async function router(t: Test, heard: (bytes: Buffer, port: number, send: Send) => void): Promise<number> {
  const [server, stranger] = [createSocket('udp4'), createSocket('udp4')]
  t.teardown(() =>
    Promise.all([server, stranger].map((socket) => new Promise<void>((r) => socket.close(() => r())))),
  )
  server.bind(0, ROUTER)
  stranger.bind(0, STRANGER)
  await Promise.all([once(server, 'listening'), once(stranger, 'listening')])
  server.on('message', (bytes, { port }) =>
    heard(bytes, port, (from, answer) => (from === ROUTER ? server : stranger).send(answer, port, ROUTER)),
  )
  return server.address().port
}
type Send = (from: string, answer: Uint8Array | string) => void

async function web(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, ROUTER)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://${ROUTER}:${(server.address() as AddressInfo).port}`
}

t.test('a datagram of another host is no answer, and one of few bytes is none either', async (t) => {
  let asked = 0
  const port = await router(t, (_bytes, _port, send) => {
    send(STRANGER, Uint8Array.fromHex('0080000000000064c0000209'))
    send(ROUTER, Uint8Array.of(0))
    send(ROUTER, new Uint8Array(0))
    send(ROUTER, Buffer.alloc(9_000, 0x80))
    if (++asked === 2) send(ROUTER, ADDRESS)
  })
  t.same(await askRouter(place, Uint8Array.of(0, 0), decodeAddress, never, port), { address: '203.0.113.5' })
  t.equal(asked, 2, 'asked again meanwhile')
})

t.test('a port on which nothing listens is found out at once, an order to stop as well', async (t) => {
  const socket = createSocket('udp4')
  socket.bind(0, ROUTER)
  await once(socket, 'listening')
  const { port } = socket.address()
  const stop = new AbortController()
  const silent = askRouter(place, Uint8Array.of(0, 0), decodeAddress, stop.signal, port)
  stop.abort()
  t.same(await silent, { refused: 'given up' })
  t.same(await askRouter(place, Uint8Array.of(0, 0), decodeAddress, AbortSignal.abort(), port), {
    refused: 'given up',
  })
  await new Promise<void>((resolve) => socket.close(() => resolve()))
  t.same(await askRouter(place, Uint8Array.of(0, 0), decodeAddress, never, port), {
    refused: 'not spoken there',
  })
  const elsewhere = { gateway: ROUTER, ownAddress: '192.0.2.77' }
  t.match(await askRouter(elsewhere, Uint8Array.of(0, 0), decodeAddress, never, port), {
    refused: /EADDRNOTAVAIL/,
  })
})

const found = (location: string): string => `HTTP/1.1 200 OK\r\nLOCATION: ${location}\r\n\r\n`

t.test('SSDP: only the router is believed, and only of itself', async (t) => {
  let asked = 0
  const port = await router(t, (bytes, _port, send) => {
    if (!bytes.toString().startsWith('M-SEARCH')) return
    send(STRANGER, found('http://127.0.0.1:1/stranger'))
    send(ROUTER, found(`http://${STRANGER}:1/x`))
    send(ROUTER, 'x'.repeat(60_000))
    if (++asked === 2) send(ROUTER, found(`http://${ROUTER}:1/router`))
  })
  t.same(await findDescription(place, never, port), { location: `http://${ROUTER}:1/router` })
  const liar = await router(t, (_bytes, _port, send) => send(ROUTER, found('http://169.254.169.254/')))
  t.same(await findDescription(place, never, liar), { refused: 'another host is named in its place' })
})

t.test('HTTP: a redirect is not followed', async (t) => {
  let elsewhere = 0
  const other = await web(t, (_request, response) => {
    elsewhere++
    response.end()
  })
  const base = await web(t, (_request, response) => response.writeHead(302, { location: other }).end())
  t.match(await askHttp(`${base}/desc.xml`, place, never), { status: 302 })
  t.equal(elsewhere, 0)
})

t.test('HTTP: what is read is bounded', async (t) => {
  let written = 0
  const base = await web(t, (_request, response) => {
    const chunk = Buffer.alloc(16_384, 'x')
    const more = (): void => {
      if (response.destroyed || written > 64 * 1024 * 1024) return
      written += chunk.byteLength
      response.write(chunk, more)
    }
    more()
  })
  t.same(await askHttp(base, place, never), { refused: 'more than 65536 bytes' })
  t.ok(written < 16 * 1024 * 1024, `${written} bytes were sent of an endless answer`)
})

t.test('HTTP: headers without end, nonsense and a hang-up are refusals', async (t) => {
  const wide = await web(t, (_request, response) =>
    response.writeHead(200, { wide: 'x'.repeat(12_000) }).end(),
  )
  t.match(await askHttp(wide, place, never), { refused: /could not be asked/ })
  const hangsUp = await web(t, (request) => request.socket.destroy())
  t.match(await askHttp(hangsUp, place, never), { refused: /could not be asked/ })
  const cut = await web(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('<root>', () => response.destroy())
  })
  t.match(await askHttp(cut, place, never), { refused: /could not be asked/ })
  const switches = await web(t, (request) =>
    request.socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  )
  t.match(await askHttp(switches, place, never), { refused: 'it switches protocols' })
  const silent = await web(t, () => {})
  const stop = new AbortController()
  const asked = askHttp(silent, place, stop.signal)
  stop.abort()
  t.match(await asked, { refused: 'no answer' })
})

t.test('HTTP: an order is sent as one', async (t) => {
  const base = await web(t, (request, response) => {
    const { method, headers } = request
    response.end(`${method} ${headers['soapaction']} ${headers['content-length']}`)
  })
  const order = { soapAction: '"urn:x#Y"', body: '<x/>' }
  t.same(await askHttp(base, place, never, order), { status: 200, text: 'POST "urn:x#Y" 4' })
})
