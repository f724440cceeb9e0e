/** The fast path from outside: its way over to Node's server, and each client's own bytes. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { AnswerReader } from '../../../../../gateway/ingress/fast/answer-reader.ts'
import { Pool } from '../../../../../gateway/ingress/upstream/pool.ts'
import { startGateway } from '../../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw, scriptedContainer, until } from '../../../../helpers/gateway/gateway-upstream.ts'

/** A client that collects what it gets. */
function client(port: number): { socket: Socket; text: () => string; closed: Promise<unknown> } {
  const socket = connect(port, '127.0.0.1')
  const closed = once(socket, 'close')
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (c) => {
    text += c.toString('latin1')
  })
  return { socket, text: () => text, closed }
}

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: web.x\r\n${more}\r\n`
const upload = 'POST /up HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'

t.test('plain requests, then others, then plain ones: one connection, answers in order', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    req.resume()
    req.on('end', () => res.end(`<${req.method}${req.url}>`))
  })
  await gw.register({ name: 'web', ...web.at })
  const { socket, text, closed } = client(gw.port)
  for (const [i, message] of [
    get('/1'),
    get('/2'),
    upload,
    get('/3'),
    get('/4', 'Connection: close\r\n'),
  ].entries()) {
    socket.write(message)
    await until(() => (text().match(/<[^>]+>/g) ?? []).length === i + 1)
  }
  await closed
  t.same(text().match(/<[^>]+>/g), ['<GET/1>', '<GET/2>', '<POST/up>', '<GET/3>', '<GET/4>'])
  t.match(
    (await gw.api('/metrics')).body,
    'flatnet_ingress_responses_total{class="2xx"} 5',
    'each counted once',
  )
})

t.test('requests in pieces and ahead of time', async (t) => {
  const gw = await startGateway(t)
  const open = new Map<string | undefined, () => void>()
  const web = await httpContainer(t, (req, res) => {
    open.set(req.url, () => res.end(`<${req.url}>`))
  })
  const answer = async (url: string): Promise<void> => {
    await until(() => open.has(url))
    open.get(url)?.()
  }
  await gw.register({ name: 'web', ...web.at })
  const { socket, text, closed } = client(gw.port)
  socket.write(get('/1'))
  await until(() => open.has('/1'))
  socket.write(get('/2').slice(0, 20))
  await answer('/1')
  await until(() => text().endsWith('</1>'))
  socket.write(get('/2').slice(20) + get('/3'))
  await until(() => open.has('/2'))
  socket.write(get('/4', 'Connection: close\r\n'))
  for (const url of ['/2', '/3', '/4']) await answer(url)
  await closed
  t.same(text().match(/<[^>]+>/g), ['</1>', '</2>', '</3>', '</4>'])
})

t.test(
  'slow and fast clients on the same connections to the container: each gets its own bytes',
  async (t) => {
    const gw = await startGateway(t)
    const SIZE = 3_000_000
    const bodyOf = (n: number): Buffer => Buffer.alloc(SIZE, `${n}-flatnet-`)
    const web = await httpContainer(t, (req, res) => {
      const body = bodyOf(Number(req.url?.slice(1)))
      if (Number(req.url?.slice(1)) % 2 === 0) res.setHeader('content-length', body.length)
      // In odd pieces, so that reads end anywhere.
      for (let at = 0; at < SIZE; at += 77_777) res.write(body.subarray(at, at + 77_777))
      res.end()
    })
    await gw.register({ name: 'web', ...web.at })
    const one = async (n: number): Promise<boolean> => {
      const socket = connect(gw.port, '127.0.0.1')
      const chunks: Buffer[] = []
      socket.on('data', (c: Buffer) => {
        chunks.push(c)
        if (n % 3 !== 0) return
        socket.pause()
        setTimeout(() => socket.resume(), 1)
      })
      socket.write(get(`/${n}`, 'Connection: close\r\n'))
      await once(socket, 'close')
      const all = Buffer.concat(chunks)
      const start = all.indexOf('\r\n\r\n') + 4
      const isChunked = all.subarray(0, start).includes('chunked')
      const body = isChunked ? dechunked(all, start) : all.subarray(start)
      return hashOf(body) === hashOf(bodyOf(n))
    }
    for (let round = 0; round < 2; round++) {
      const got = await Promise.all(Array.from({ length: 12 }, (_, n) => one(n)))
      t.ok(got.every(Boolean), `round ${round}: ${got}`)
    }
  },
)

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

function dechunked(bytes: Buffer, start: number): Buffer {
  const parts: Buffer[] = []
  for (let at = start; ; ) {
    const end = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (size === 0 || end < 0) return Buffer.concat(parts)
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 2 + size + 2
  }
}

t.test('bytes behind an answer reach no client', async (t) => {
  const gw = await startGateway(t)
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  let isClosed = false
  const late = (s: Socket): void => {
    s.once('close', () => {
      isClosed = true
    })
    s.once('data', () => s.write(OK, () => setTimeout(() => s.write(OK), 20)))
  }
  const web = await scriptedContainer(t, [
    (s) => s.on('data', () => s.write(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate`)),
    late,
    (s) => s.on('data', () => s.write(OK)),
  ])
  await gw.register({ name: 'web', ...web.at })
  for (let n = 1; n <= 2; n++) t.equal((await gw.get('web.x')).body, 'ok')
  await until(() => isClosed)
  t.equal((await gw.get('web.x')).body, 'ok')
  t.same(web.received.length, 3, 'such a connection does not serve again')
})

t.test('an answer whose end is the end of the connection', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.end('HTTP/1.1 200 OK\r\n\r\nall of it')),
    (s) =>
      s.once('data', () =>
        s.write('HTTP/1.0 200 OK\r\n\r\nhalf', () => setTimeout(() => s.resetAndDestroy(), 20)),
      ),
  ])
  await gw.register({ name: 'web', ...web.at })
  t.equal((await gw.get('web.x')).body, 'all of it')
  await t.rejects(gw.get('web.x'), 'a reset is no end')
  const hanging = await scriptedContainer(t, [
    (s) => s.once('data', () => s.write('HTTP/1.1 200 OK\r\n\r\nhalf')),
  ])
  const assignment = await gw.register({ name: 'slow', ...hanging.at })
  const { text, socket, closed } = client(gw.port)
  socket.write(get('/').replace('web', 'slow'))
  await until(() => text().includes('half'))
  const { network, ifname, containerId } = assignment
  await gw.api(`/v1/assignments/${network}/${containerId}/${ifname}`, { method: 'DELETE' })
  await closed
  t.notMatch(text(), /\r\n0\r\n\r\n$/, 'nor is the end of the container')
})

t.test('a client that goes cancels its request; an idle one is closed in time', async (t) => {
  const gw = await startGateway(t, { ingress: { keepAliveMs: 100 } })
  const gone = Promise.withResolvers<void>()
  const web = await httpContainer(t, (req, res) => {
    if (req.url === '/quick') res.end('ok')
    else {
      res.on('close', () => gone.resolve())
      res.write('started')
    }
  })
  await gw.register({ name: 'web', ...web.at })
  const leaving = client(gw.port)
  leaving.socket.write(get('/'))
  await until(() => leaving.text().includes('started'))
  leaving.socket.resetAndDestroy()
  await gone.promise
  const idle = client(gw.port)
  idle.socket.write(get('/quick'))
  await idle.closed
  t.match(idle.text(), /ok$/)
})

t.test('the gateway stops: the answer under way ends and says so, idle connections are closed', async (t) => {
  const gw = await startGateway(t, { ingress: { drainMs: 2000 } })
  let finish: (() => void) | undefined
  const web = await httpContainer(t, (req, res) => {
    if (req.url === '/quick') res.end('ok')
    else finish = () => res.end('done')
  })
  await gw.register({ name: 'web', ...web.at })
  const idle = client(gw.port)
  idle.socket.write(get('/quick'))
  await until(() => idle.text().endsWith('ok'))
  const busy = client(gw.port)
  busy.socket.write(get('/'))
  await until(() => finish !== undefined)
  const stopped = gw.stop()
  await idle.closed
  finish?.()
  await busy.closed
  t.match(busy.text(), /\r\nConnection: close\r\n[\s\S]*done$/)
  await stopped
})

t.test('failures look the same on the fast path and on the other', async (t) => {
  const gw = await startGateway(t, { ingress: { responseHeaderTimeoutMs: 100 } })
  const web = await scriptedContainer(t, [() => {}])
  await gw.register({ name: 'web', ...web.at })
  const ask = (more: string): Promise<string> => raw(gw.port, get('/', `${more}Connection: close\r\n`))
  const fast = await ask('')
  // The fast path leaves requests with TE to Node.
  const other = await ask('TE: trailers\r\n')
  const fields = (text: string): string[] =>
    text
      .toLowerCase()
      .split('\r\n')
      .filter((l) => !l.startsWith('date:'))
      .sort()
  t.match(fast, /^HTTP\/1\.1 504 Gateway Timeout\r\n/)
  t.same(fields(fast), fields(other))
})

t.test('a bug costs one connection, not the gateway', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (_req, res) => res.end('ok'))
  await gw.register({ name: 'web', ...web.at })
  for (const [owner, method] of [
    [Pool.prototype, 'idleConnection'],
    [AnswerReader.prototype, 'read'],
    [Pool.prototype, 'keepConnection'],
  ] as const) {
    const broken = t.capture(owner as never, method as never, () => {
      throw new Error('a bug')
    })
    await gw.get('web.x').catch(() => {})
    broken.restore()
    t.equal((await gw.get('web.x')).body, 'ok', method)
  }
})
