/** Hostile clients and containers: smuggling probes, slow requests, limits, noise. */

import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'
import { anyText } from '../../../helpers/run/any-text.ts'

const probes: readonly [name: string, head: string][] = [
  [
    'Content-Length with Transfer-Encoding',
    'POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  [
    'two different Content-Lengths',
    'POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  ],
  [
    'two Content-Lengths that are equal as numbers',
    'POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: 1\r\nContent-Length: 01\r\n\r\na',
  ],
  ['signed Content-Length', 'POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: +1\r\n\r\na'],
  ['obs-fold', 'GET / HTTP/1.1\r\nHost: web.x\r\nX: a\r\n b\r\n\r\n'],
  [
    'blank before the colon',
    'POST / HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
  ],
  [
    'unknown transfer coding',
    'POST / HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  ],
  [
    'chunked not last',
    'POST / HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  ],
  [
    'bad chunk size',
    'POST / HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n',
  ],
  ['bare CR in a header', 'GET / HTTP/1.1\r\nHost: web.x\r\nX: a\rGET /smuggled HTTP/1.1\r\n\r\n'],
  ['NUL in a header', 'GET / HTTP/1.1\r\nHost: web.x\r\nX: a\0b\r\n\r\n'],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: web.x\r\nHost: other.x\r\nConnection: close\r\n\r\n'],
  ['Host with a path', 'GET / HTTP/1.1\r\nHost: web.x/path\r\nConnection: close\r\n\r\n'],
  ['Host with a user', 'GET / HTTP/1.1\r\nHost: a@web.x\r\nConnection: close\r\n\r\n'],
  [
    'absolute target of another scheme',
    'GET ftp://web.x/ HTTP/1.1\r\nHost: web.x\r\nConnection: close\r\n\r\n',
  ],
  ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
]

t.test('smuggling probes are answered 400 and never answered twice', async (t) => {
  const gw = await startGateway(t)
  let last = ''
  const web = await httpContainer(t, (req, res) => {
    last = req.url ?? ''
    req.resume()
    req.on('end', () => res.end('reached'))
  })
  await gw.register({ name: 'web', ...web.at })
  for (const [name, bytes] of probes) {
    const text = await raw(gw.port, bytes)
    t.match(text, /^HTTP\/1\.1 (?:400|408|505) /, name)
    t.notMatch(text, /reached/, `${name}: nothing got through`)
    t.equal(text.match(/HTTP\/1\.1 /g)?.length, 1, `${name}: one answer`)
  }
  t.notMatch(last, 'smuggled')
  t.equal((await gw.get('web.x')).body, 'reached', 'still there')
})

t.test('absolute-form: the target beats the Host header', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => res.end(`${req.headers.host} ${req.url}`))
  await gw.register({ name: 'web', ...web.at })
  const text = await raw(
    gw.port,
    'GET http://web.x:8080?q HTTP/1.1\r\nHost: other.x\r\nConnection: close\r\n\r\n',
  )
  t.match(text, /200 OK[\s\S]*web\.x:8080 \/\?q$/)
})

t.test('pipelined requests are answered in order, and not without bound', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => res.end(`<${req.url}>`))
  await gw.register({ name: 'web', ...web.at })
  const one = (n: number, close = false) =>
    `GET /${n} HTTP/1.1\r\nHost: web.x\r\n${close ? 'Connection: close\r\n' : ''}\r\n`
  const few = await raw(gw.port, one(1) + one(2) + one(3, true))
  t.same(few.match(/<\/\d+>/g), ['</1>', '</2>', '</3>'])
  let burst = ''
  for (let i = 0; i < 200; i++) burst += one(i)
  const many = await raw(gw.port, burst + one(200, true))
  t.match(many, /503 Service Unavailable/, 'what is too much is refused')
  t.match(many, /<\/0>/)
})

t.test('a request that never ends is ended; a long upload and a slow answer are not', async (t) => {
  const gw = await startGateway(t, { ingress: { headersTimeoutMs: 200 } })
  t.match(await raw(gw.port, 'GET / HTTP/1.1\r\nHost: web.x\r\nX: '), /^HTTP\/1\.1 408 /)
  const silent = connect(gw.port, '127.0.0.1').resume()
  await once(silent, 'close')
  t.pass('and a connection without a byte')
  const web = await scriptedContainer(t, [(s) => s.on('data', () => {})])
  await gw.register({ name: 'web', ...web.at })
  const slow = connect(gw.port, '127.0.0.1')
  let isClosed = false
  slow.on('close', () => {
    isClosed = true
  })
  slow.write('POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: 3\r\n\r\na')
  // The check runs once a second: a second connection that is ended proves that it has run over the first.
  const other = connect(gw.port, '127.0.0.1').resume()
  await once(other, 'close')
  t.notOk(isClosed, 'the upload is still allowed to go on')
  slow.destroy()
})

t.test('property names of every JavaScript object are ordinary names everywhere', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => res.end(`${req.url}`))
  await gw.register({ name: 'web', ...web.at })
  const headers = [
    'Accept',
    'Connection',
    'Upgrade',
    'Transfer-Encoding',
    'Via',
    'Expect',
    'TE',
    'X-Forwarded-For',
  ]
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']) {
    for (const host of ['missing.x', 'web.x', 'localhost', name, `${name}.x`]) {
      for (const header of [...headers, name]) {
        for (const path of ['/', `/~${name}/`]) {
          const text = await raw(
            gw.port,
            `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${header}: ${name}\r\nConnection: close\r\n\r\n`,
          )
          t.match(text, /^HTTP\/1\.1 (?!500)\d{3} /, `${header}: ${name} for ${host}${path}`)
        }
      }
    }
  }
  t.equal((await gw.get('web.x')).status, 200, 'still there')
  t.notOk(gw.logged.some((l) => l.event === 'request could not be handled'))
})

t.test('limits: header size, connections in all, connections of one client', async (t) => {
  const gw = await startGateway(t, {
    ingress: { maxHeaderBytes: 1024, maxConnectionsPerClient: 2, maxConnections: 10 },
  })
  t.match(
    await raw(gw.port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(2000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 /,
  )
  const held = [connect(gw.port, '127.0.0.1'), connect(gw.port, '127.0.0.1')]
  await Promise.all(held.map((s) => once(s, 'connect')))
  await until(async () => (await gw.api('/v1/status')).json().ingress.connections === 2)
  t.equal(await raw(gw.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), '', 'the third is closed at once')
  for (const s of held) s.destroy()
  await until(async () => (await gw.api('/v1/status')).json().ingress.connections === 0)
  t.equal((await gw.get('localhost')).status, 200, 'and places are free again')
  t.match((await gw.api('/metrics')).body, /flatnet_ingress_connections_refused_total\{by="client"\} 1/)
})

t.test('a kept connection whose next request has arrived makes no room', async (t) => {
  const gw = await startGateway(t, { ingress: { maxConnections: 2 } })
  const web = await httpContainer(t, (req, res) => res.end(`<${req.url}>`))
  await gw.register({ name: 'web', ...web.at })
  const from = (localAddress: string) => {
    const socket = connect({ port: gw.port, host: '127.0.0.1', localAddress })
    t.teardown(() => socket.destroy())
    return socket.on('error', () => {})
  }
  const kept = from('127.0.2.1')
  let answers = ''
  kept.setEncoding('latin1').on('data', (text) => {
    answers += text
  })
  kept.write('GET /1 HTTP/1.1\r\nHost: web.x\r\n\r\n')
  await until(() => answers.endsWith('</1>'), 'it is a kept one')
  const idle = from('127.0.2.2').resume()
  await until(async () => (await gw.api('/v1/status')).json().ingress.connections === 2)
  // The kernel has both before the gateway's loop turns, and tells it of the newcomer first.
  const newcomer = from('127.0.2.3')
  process.nextTick(() => kept.write('GET /2 HTTP/1.1\r\nHost: web.x\r\n\r\n'))
  await until(() => answers.endsWith('</2>') || kept.destroyed, 'it is answered or cut off')
  t.match(answers, /<\/2>$/, 'it is answered')
  await until(() => idle.destroyed, 'the one without a request has made room')
  t.notOk(newcomer.destroyed)
})

t.test('4,500 half-sent requests from ten addresses keep no other client out', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (_req, res) => res.end('ok'))
  await gw.register({ name: 'web', ...web.at })
  const slow = await httpContainer(t, (_req, res) => void setTimeout(() => res.end('slow'), 3_000))
  await gw.register({ name: 'slow', ...slow.at })
  const underWay = gw.get('slow.x')
  const half = Array.from({ length: 4_500 }, (_, i) => {
    const socket = connect({ port: gw.port, host: '127.0.0.1', localAddress: `127.0.1.${i % 10}` })
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: web.x\r\nX')
    return socket
  })
  t.teardown(() => {
    for (const socket of half) socket.destroy()
  })
  await Promise.allSettled(half.map((socket) => once(socket, 'connect')))
  const metrics = async (): Promise<string> => (await gw.api('/metrics')).body
  await until(async () => /connections_evicted_total [1-9]/.test(await metrics()), 'it is full')
  const since = performance.now()
  t.equal((await gw.get('web.x')).body, 'ok')
  const tookMs = Math.round(performance.now() - since)
  t.ok(tookMs < 2_000, `another client is served after ${tookMs} ms`)
  t.equal((await underWay).body, 'slow', 'what has a request under way stays')
})

t.test('the gateway answers or closes for any bytes, and stays up', async (t) => {
  const gw = await startGateway(t, { ingress: { headersTimeoutMs: 100 } })
  const web = await httpContainer(t, (req, res) => {
    req.resume()
    res.end('ok')
  })
  await gw.register({ name: 'web', ...web.at })
  const host = fc.oneof(
    fc.string({ unit: 'binary-ascii', maxLength: 60 }),
    anyText(20),
    fc.constantFrom(
      'web.x',
      'web-80.x',
      'web-99999.x',
      '127-1-1-1.x',
      '[::1]',
      '[::',
      'web.',
      '..',
      'xn--a.x',
      '%00.x',
      'a'.repeat(300),
    ),
  )
  const path = fc.oneof(
    fc.webPath(),
    fc.constantFrom(
      '/~',
      '/~web',
      '/~web//x',
      '/~%',
      '/~%ff/',
      '/~..%2f/',
      '//web',
      '*',
      '/#x',
      '/~web#x',
      '/~a~b/',
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 40 }),
  )
  const property = fc.asyncProperty(
    fc.constantFrom('GET', 'POST', 'OPTIONS', 'BREW', ''),
    path,
    host,
    async (method, p, h) => {
      const text = await raw(
        gw.port,
        Buffer.from(`${method} ${p} HTTP/1.1\r\nHost: ${h}\r\nConnection: close\r\n\r\n`),
        { end: true },
      )
      t.notMatch(text, /^HTTP\/1\.1 500/)
      return /^(?:HTTP\/1\.1 \d{3} |$)/.test(text)
    },
  )
  await fc.assert(property, { numRuns: 400 })
  t.equal((await gw.get('web.x')).body, 'ok')
  t.notOk(gw.logged.some((l) => l.event === 'request could not be handled'))
})

t.test('what the container sends cannot break the gateway either', async (t) => {
  const gw = await startGateway(t)
  const answers = [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: \x7f\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200_000)}\r\n\r\n`,
    'HTTP/1.1 200 OK\r\nTrailer: x\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 \xe4\xf6\r\nX: \xe4\r\nContent-Length: 0\r\n\r\n',
  ]
  const web = await scriptedContainer(
    t,
    answers.map((text) => (s) => s.once('data', () => s.end(text, 'latin1'))),
  )
  await gw.register({ name: 'web', ...web.at })
  for (const text of answers) {
    // POST: each goes out once, so answers and requests stay in step.
    const got = await gw.get('web.x', '/', { method: 'POST' })
    t.ok(got.status >= 200, `${got.status} for ${JSON.stringify(text.slice(0, 60))}`)
  }
})
