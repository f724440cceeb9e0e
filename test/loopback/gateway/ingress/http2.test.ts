/** HTTP/2 to browsers: the same rules as for HTTP/1.1, and bounds on what a client can ask for. */

import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import t, { type Test } from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'
import { webCa, webPair, writePair } from '../../../helpers/gateway/web-certificate.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

const ca = await webCa()
const pair = await webPair(ca, ['web.x', '127.0.0.1'])

async function secureGateway(t: Test, more: Record<string, unknown> = {}) {
  const tls = { listen: '127.0.0.1:0', ...writePair(scratchFolder(t), 'web', pair) }
  const gw = await startGateway(t, { ingress: { tls, ...more } })
  const port: number = (await gw.api('/v1/status')).json().ingress.tls.port
  return { gw, port }
}

async function sessionTo(t: Test, port: number): Promise<ClientHttp2Session> {
  const session = connect(`https://127.0.0.1:${port}`, { ca: ca.pem, servername: 'web.x' })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  await once(session, 'connect')
  return session
}

interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders | undefined
  /** Of RST_STREAM; 0: the answer ended. */
  readonly code: number
}

function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: readonly (string | Buffer)[],
): Promise<Got> {
  const stream = session.request(
    { ':authority': 'web.x', ...headers },
    { endStream: body === undefined, signal: AbortSignal.timeout(10_000) },
  )
  return new Promise((resolve) => {
    let got: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders | undefined
    let text = ''
    stream.on('response', (h) => {
      got = h
    })
    stream.on('trailers', (h) => {
      trailers = h
    })
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    stream.on('error', () => {})
    stream.on('close', () =>
      resolve({
        status: Number(got[':status'] ?? 0),
        headers: got,
        body: text,
        trailers,
        code: stream.rstCode ?? 0,
      }),
    )
    for (const part of body ?? []) stream.write(part)
    if (body !== undefined) stream.end()
  })
}

t.test('a request as the container sees it', async (t) => {
  const { gw, port } = await secureGateway(t)
  const echo = await httpContainer(t, (req, res) => {
    let length = 0
    req.on('data', (c: Buffer) => {
      length += c.length
    })
    req.on('end', () => {
      res.setHeader('set-cookie', ['a=1', 'b=2'])
      res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, length }))
    })
  })
  await gw.register({ name: 'web', ...echo.at })
  const session = await sessionTo(t, port)
  const { status, headers, body } = await ask(session, {
    ':path': '/a?b',
    cookie: ['x=1', 'y=2'],
    'x-forwarded-proto': 'gopher',
    'x-flatnet-via': '7',
  })
  t.equal(status, 200)
  t.same(headers['set-cookie'], ['a=1', 'b=2'])
  t.match(headers.via, '1.1 flatnet-1')
  t.match(JSON.parse(body), {
    method: 'GET',
    url: '/a?b',
    headers: {
      host: 'web.x',
      cookie: 'x=1; y=2',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '443',
      'x-forwarded-host': 'web.x',
      'x-forwarded-for': '127.0.0.1',
    },
  })
  const upload = await ask(session, { ':method': 'POST', ':path': '/' }, [Buffer.alloc(300_000), 'end'])
  t.match(JSON.parse(upload.body), { length: 300_003, headers: { 'transfer-encoding': 'chunked' } })
  const sized = await ask(session, { ':method': 'PUT', ':path': '/', 'content-length': 3 }, ['abc'])
  t.match(JSON.parse(sized.body), { length: 3, headers: { 'content-length': '3' } })
  const head = await ask(session, { ':method': 'HEAD', ':path': '/' })
  t.match(head, { status: 200, body: '', code: 0 })
  const many = await Promise.all(Array.from({ length: 90 }, (_, i) => ask(session, { ':path': `/${i}` })))
  t.same(
    many.map(({ body }) => JSON.parse(body).url),
    many.map((_, i) => `/${i}`),
  )
})

t.test('pages of the gateway, for GET and HEAD, and an early answer to an upload', async (t) => {
  const { port } = await secureGateway(t)
  const session = await sessionTo(t, port)
  const own = { ':authority': `127.0.0.1:${port}` }
  t.match(await ask(session, { ...own, ':path': '/', accept: 'application/json' }), {
    status: 200,
    body: /"hostId":1/,
  })
  t.match(await ask(session, { ...own, ':method': 'HEAD', ':path': '/' }), { status: 200, body: '', code: 0 })
  t.match(await ask(session, { ...own, ':path': '/~none/' }), {
    status: 404,
    body: /No container is called none/,
  })
  const early = await ask(session, { ...own, ':method': 'POST', ':path': '/' }, ['a body'])
  t.equal(early.status, 405)
  t.equal((await ask(session, { ':method': 'CONNECT', ':authority': 'web.x:80' })).status, 405)
  t.match(await ask(session, { ':path': '/', host: 'other.x' }), { status: 400, body: /more than one Host/ })
})

t.test('trailers pass, and an answer that breaks off does not look whole', async (t) => {
  const { gw, port } = await secureGateway(t)
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n'
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.write(`${chunked}3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n`)),
    (s) => s.once('data', () => s.write(`${chunked}3\r\nabc\r\n`, () => setTimeout(() => s.destroy(), 50))),
  ])
  await gw.register({ name: 'web', ...web.at })
  const session = await sessionTo(t, port)
  t.match(await ask(session, { ':path': '/', te: 'trailers' }), {
    status: 200,
    body: 'abc',
    trailers: { 'x-sum': '7' },
    code: 0,
  })
  const broken = await ask(session, { ':path': '/', ':method': 'POST' }, ['x'])
  t.match(broken, { status: 200, body: 'abc', code: constants.NGHTTP2_INTERNAL_ERROR })
})

t.test('event streams flow at once, and end at the container when the client leaves', async (t) => {
  const { gw, port } = await secureGateway(t)
  let isClosed = false
  const web = await httpContainer(t, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write('data: 1\n\n')
    res.on('close', () => {
      isClosed = true
    })
  })
  await gw.register({ name: 'web', ...web.at })
  const session = await sessionTo(t, port)
  const stream = session.request({ ':authority': 'web.x', ':path': '/' })
  stream.on('error', () => {})
  t.equal(String((await once(stream, 'data'))[0]), 'data: 1\n\n')
  stream.close(constants.NGHTTP2_CANCEL)
  await until(() => isClosed)
})

t.test('streams reset at a rate that no browser has end the session, not the gateway', async (t) => {
  const { gw, port } = await secureGateway(t)
  const web = await httpContainer(t, (_req, res) => setTimeout(() => res.end(), 1000))
  await gw.register({ name: 'web', ...web.at })
  const session = await sessionTo(t, port)
  let goaway: number | undefined
  session.on('goaway', (code) => {
    goaway = code
  })
  for (let i = 0; i < 2000 && !session.destroyed && goaway === undefined; i++) {
    const stream = session.request({ ':authority': 'web.x', ':path': '/' })
    stream.on('error', () => {})
    stream.close(constants.NGHTTP2_CANCEL)
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => session.destroyed || session.closed || goaway !== undefined)
  t.pass(`ended with ${goaway}`)
  const other = await sessionTo(t, port)
  t.equal((await ask(other, { ':authority': `127.0.0.1:${port}`, ':path': '/' })).status, 200)
})

t.test('an idle session is closed; a stop lets streams under way end', async (t) => {
  const { gw, port } = await secureGateway(t, { keepAliveMs: 200, drainMs: 5000 })
  const asked = Promise.withResolvers<void>()
  let release = (): void => {}
  const web = await httpContainer(t, (_req, res) => {
    res.write('first ')
    release = () => res.end('last')
    asked.resolve()
  })
  await gw.register({ name: 'web', ...web.at })
  const idle = await sessionTo(t, port)
  await ask(idle, { ':authority': `127.0.0.1:${port}`, ':path': '/' })
  await once(idle, 'close')
  const session = await sessionTo(t, port)
  const underWay = ask(session, { ':path': '/' })
  await asked.promise
  const goaway = once(session, 'goaway')
  const stopped = gw.stop()
  await goaway
  release()
  t.match(await underWay, { status: 200, body: 'first last', code: 0 })
  await stopped
})
