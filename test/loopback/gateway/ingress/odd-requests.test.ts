/** Odd requests in their one reading: on each way through the ingress, at each place of a connection, cut or not. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { raw, type Scripted, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'
import { webCa, webPair, writePair } from '../../../helpers/gateway/web-certificate.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

/** Shows the request line that it got, and the body. */
const echo = (t: Test): Promise<Scripted> =>
  scriptedContainer(t, [
    (socket) => {
      let text = ''
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        const end = text.indexOf('\r\n\r\n') + 4
        const length = Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0)
        if (end < 4 || text.length < end + length) return
        const shown = `<${text.slice(0, text.indexOf(' HTTP'))}|${text.slice(end, end + length)}>`
        text = ''
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${shown.length}\r\n\r\n${shown}`)
      })
    },
  ])

const odd: readonly [name: string, request: string, shown: string][] = [
  ['raw UTF-8', 'GET /b\xc3\xbc HTTP/1.1\r\nHost: web.x\r\n\r\n', '<GET /b%C3%BC|>'],
  ['raw UTF-8 in the query', 'GET /?b=\xc3\xbc HTTP/1.1\r\nHost: web.x\r\n\r\n', '<GET /?b=%C3%BC|>'],
  ['LF alone', 'POST /lf HTTP/1.1\nHost: web.x\nContent-Length: 2\n\nhi', '<POST /lf|hi>'],
  [
    'one length twice',
    'POST /twice HTTP/1.1\r\nHost: web.x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi',
    '<POST /twice|hi>',
  ],
  ['another method', 'LIST /v1 HTTP/1.1\r\nHost: web.x\r\n\r\n', '<LIST /v1|>'],
  ['a method in small letters', 'get / HTTP/1.1\r\nHost: web.x\r\n\r\n', '<get /|>'],
]

/** For Node's server. */
const plain = 'GET /first HTTP/1.1\r\nHost: web.x\r\nTE: trailers\r\n\r\n'
const FIRST = '<GET /first|>'

/** Sends one after the other, and gives each time to be a packet of its own; joined they have to be read alike. */
async function typed(port: number, packets: readonly string[], until200: number): Promise<string> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  const text = collect(socket)
  for (const packet of packets) {
    socket.write(packet, 'latin1')
    await sleep(3)
  }
  await until(() => count(text()) >= until200 || socket.destroyed, 'the answers')
  socket.destroy()
  return text()
}

function collect(socket: Socket): () => string {
  let text = ''
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  return () => text
}

const count = (text: string): number => text.match(/<[^>]*\|[^>]*>/g)?.length ?? 0
const shownIn = (text: string): readonly string[] => text.match(/<[^>]*\|[^>]*>/g) ?? [text]

t.test('first, behind others, and cut', async (t) => {
  const gw = await startGateway(t)
  await gw.register({ name: 'web', ...(await echo(t)).at })
  for (const [name, request, shown] of odd) {
    t.same(shownIn(await typed(gw.port, [request], 1)), [shown], name)
    const byLine = request.split(/(?<=\n)/)
    t.same(shownIn(await typed(gw.port, byLine, 1)), [shown], `${name}, a line at a time`)
    const mid = [request.slice(0, 6), request.slice(6, 20), request.slice(20)]
    t.same(shownIn(await typed(gw.port, mid, 1)), [shown], `${name}, cut in its words`)
    t.same(shownIn(await typed(gw.port, [plain + request], 2)), [FIRST, shown], `${name}, in one packet`)
    t.same(shownIn(await typed(gw.port, [`\r\n${request}`], 1)), [shown], `${name}, behind an empty line`)
  }
})

t.test('later on a connection that Node reads', async (t) => {
  const gw = await startGateway(t)
  await gw.register({ name: 'web', ...(await echo(t)).at })
  for (const [name, request, shown] of odd) {
    const socket = connect(gw.port, '127.0.0.1').setNoDelay(true)
    const text = collect(socket)
    for (let n = 0; n < 2; n++) {
      socket.write(plain)
      await until(() => count(text()) === 2 * n + 1 || socket.destroyed)
      socket.write(request, 'latin1')
      await until(() => count(text()) === 2 * n + 2 || socket.destroyed)
    }
    socket.destroy()
    t.same(shownIn(text()), [FIRST, shown, FIRST, shown], name)
  }
})

t.test('with redirect, from a proxy that ended TLS; and over TLS with hsts', async (t) => {
  const folder = scratchFolder(t)
  const pair = writePair(folder, 'web', await webPair(await webCa(), ['web.x']))
  const tls = { listen: '127.0.0.1:0', redirect: true, hsts: 60, ...pair }
  const gw = await startGateway(t, { ingress: { tls, trustedProxies: ['127.0.0.0/8'] } })
  await gw.register({ name: 'web', ...(await echo(t)).at })
  const { port } = (await gw.api('/v1/status')).json().ingress.tls
  for (const [name, request, passed] of odd) {
    // Node's client writes methods in capitals.
    const shown = passed.replace('get', 'GET')
    const end = request.includes('\r\n') ? '\r\n' : '\n'
    const proxied = request.replace(`Host: web.x${end}`, (host) => `${host}X-Forwarded-Proto: https${end}`)
    t.same(shownIn(await typed(gw.port, [proxied], 1)), [shown], `${name}, plain`)
    const socket = connectTls({ host: '127.0.0.1', port, servername: 'web.x', rejectUnauthorized: false })
    const text = collect(socket)
    await once(socket, 'secureConnect')
    for (const half of [request.slice(0, 25), request.slice(25)]) socket.write(half, 'latin1')
    await until(() => count(text()) === 1 || socket.destroyed)
    socket.destroy()
    t.same(shownIn(text()), [shown], `${name}, HTTPS`)
    t.match(text(), /\r\nStrict-Transport-Security: max-age=60\r\n/i)
  }
})

t.test('half a head is answered in time, and at its end', async (t) => {
  const gw = await startGateway(t, { ingress: { headersTimeoutMs: 300 } })
  for (const half of ['GE', 'GET / HTTP/1.1\r\nHost: web.x\r\n', 'GET / HTTP/1.1\nHost: web.x\n']) {
    t.match(await raw(gw.port, half), /^HTTP\/1\.1 408 /, half)
    t.match(await raw(gw.port, half, { end: true }), /^HTTP\/1\.1 400 [\s\S]*client ended its side/, half)
  }
})
