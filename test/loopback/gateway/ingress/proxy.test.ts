/** Ingress at the HTTP boundary: what reaches the container and what comes back. */

import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'

t.test('a request by name reaches the container with its headers set right', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    res.setHeader('set-cookie', ['a=1; Path=/', 'b=2'])
    res.end(JSON.stringify({ url: req.url, headers: req.headers, method: req.method }))
  })
  await gw.register({ name: 'Web', aliases: ['0123456789ab'], ...web.at })
  const headers = {
    'x-forwarded-for': '10.0.0.9',
    'x-forwarded-proto': 'https',
    'x-flatnet-secret': '1',
    x_flatnet_secret: '1',
    'x-real': 'kept',
    connection: 'close, X-Dropped',
    'x-dropped': '1',
    te: 'trailers, gzip',
    'proxy-authorization': 'secret',
  }
  const got = await gw.get('web.flatnet:8080', '/a//b?c=%2F&d', { headers })
  t.equal(got.status, 200)
  t.same(got.headers['set-cookie'], ['a=1; Path=/', 'b=2'])
  const seen = got.json()
  t.equal(seen.url, '/a//b?c=%2F&d', 'path and query as they came')
  t.match(seen.headers, {
    host: 'web.flatnet:8080',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'web.flatnet:8080',
    'x-forwarded-proto': 'http',
    'x-forwarded-port': '8080',
    'x-flatnet-via': '1',
    via: '1.1 flatnet-1',
    'x-real': 'kept',
    te: 'trailers',
  })
  for (const gone of ['x-flatnet-secret', 'x_flatnet_secret', 'x-dropped', 'proxy-authorization']) {
    t.equal(seen.headers[gone], undefined, gone)
  }
  t.equal(got.headers.via, '1.1 flatnet-1')
  for (const host of [
    'WEB.example.org',
    'web',
    '0123456789ab.flatnet',
    `${web.ip.replaceAll('.', '-')}.flatnet`,
  ]) {
    t.equal((await gw.get(host)).status, 200, host)
  }
  for (const host of [`web-${web.port}.x`, `${web.ip.replaceAll('.', '-')}-${web.port}.x`]) {
    t.equal((await gw.get(host)).status, 200, host)
  }
})

t.test('by path: prefix stripped, announced, and put back into Location and cookies', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    res.setHeader('location', '/login')
    res.setHeader('set-cookie', 'sid=1; Path=/; HttpOnly')
    res.end(JSON.stringify({ url: req.url, prefix: req.headers['x-forwarded-prefix'] }))
  })
  await gw.register({ name: 'web', ...web.at })
  const got = await gw.get('192.0.2.1:8080', '/~web/x?y')
  t.same(got.json(), { url: '/x?y', prefix: '/~web' })
  t.equal(got.headers.location, '/~web/login')
  t.same(got.headers['set-cookie'], ['sid=1; Path=/~web/; HttpOnly'])
  const bare = await gw.get('192.0.2.1', '/~web?q')
  t.equal(bare.status, 307)
  t.equal(bare.headers.location, '/~web/?q')
})

t.test('only registered addresses are dialled', async (t) => {
  const gw = await startGateway(t)
  const hidden = await scriptedContainer(t, [(s) => s.end('HTTP/1.1 200 OK\r\n\r\n')])
  for (const host of [
    `${hidden.ip.replaceAll('.', '-')}-${hidden.port}.flatnet`,
    `${hidden.ip}:${hidden.port}`,
  ]) {
    t.equal((await gw.get(host, '/x')).status, 404, host)
  }
  const absolute = await raw(
    gw.port,
    `GET http://${hidden.ip}:${hidden.port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  )
  t.match(
    absolute,
    /^HTTP\/1\.1 200 OK[\s\S]*No container runs/,
    'an address as absolute target shows our own list',
  )
  t.match(
    await raw(gw.port, `CONNECT ${hidden.ip}:${hidden.port} HTTP/1.1\r\nHost: x\r\n\r\n`),
    /^HTTP\/1\.1 405 /,
  )
  t.same(hidden.received, [], 'no connection ever')
})

t.test('streams: the first byte arrives before the last is sent, both ways', async (t) => {
  const gw = await startGateway(t)
  let finish = (): void => {}
  const web = await httpContainer(t, (req, res) => {
    if (req.method === 'GET') {
      res.write('first')
      finish = () => res.end('last')
      return
    }
    req.once('data', (chunk) => {
      res.write(`got ${chunk}`)
      req.on('end', () => res.end('done'))
      req.resume()
    })
  })
  await gw.register({ name: 'web', ...web.at })
  const down = request({ port: gw.port, headers: { host: 'web.x' } }).end()
  const [res] = (await once(down, 'response')) as [IncomingMessage]
  const [first] = await once(res, 'data')
  t.equal(String(first), 'first')
  finish()
  const [last] = await once(res, 'data')
  t.equal(String(last), 'last')

  const up = request({ port: gw.port, method: 'POST', headers: { host: 'web.x' } })
  up.write('hello')
  const [echo] = (await once(up, 'response')) as [IncomingMessage]
  t.equal(
    String((await once(echo, 'data'))[0]),
    'got hello',
    'answered while the request is still being sent',
  )
  up.end()
  t.equal(String((await once(echo, 'data'))[0]), 'done')
})

t.test('an event stream without events gets its headers at once', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  })
  await gw.register({ name: 'web', ...web.at })
  const req = request({ port: gw.port, headers: { host: 'web.x' } }).end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  t.equal(res.headers['content-type'], 'text/event-stream')
  req.destroy()
})

t.test('HEAD, 204, 304, trailers, 103 and HTTP/1.0', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    if (req.url === '/204') res.writeHead(204).end()
    else if (req.url === '/304') res.writeHead(304, { etag: '"x"' }).end()
    else if (req.url === '/trailers') {
      res.writeHead(200, { trailer: 'X-Sum' })
      res.write('body')
      res.addTrailers({ 'X-Sum': '42', Host: 'other.x' })
      res.end()
    } else if (req.url === '/hints') {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' })
      res.end('ok')
    } else {
      req.resume().on('end', () => {
        res.setHeader('content-length', 5)
        res.setHeader('x-trailers', JSON.stringify(req.trailers))
        res.end('hello')
      })
    }
  })
  await gw.register({ name: 'web', ...web.at })
  const head = await gw.get('web.x', '/', { method: 'HEAD' })
  t.match(head, { status: 200, body: '', headers: { 'content-length': '5' } })
  t.match(await gw.get('web.x', '/204'), { status: 204, body: '' })
  t.match(await gw.get('web.x', '/304'), { status: 304, body: '', headers: { etag: '"x"' } })
  const trailers = await raw(gw.port, 'GET /trailers HTTP/1.1\r\nHost: web.x\r\nConnection: close\r\n\r\n')
  t.match(trailers, /\r\n0\r\nX-Sum: 42\r\n\r\n$/, 'forbidden trailers are dropped')
  const hints = await raw(gw.port, 'GET /hints HTTP/1.1\r\nHost: web.x\r\nConnection: close\r\n\r\n')
  t.match(hints, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200/)
  const up = await raw(
    gw.port,
    'POST / HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n' +
      '3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n',
  )
  t.match(up, /x-trailers: {"x-sum":"7"}/)
  const old = await raw(gw.port, 'GET /trailers HTTP/1.0\r\nHost: web.x\r\n\r\n')
  t.match(old, /^HTTP\/1\.1 200 OK/)
  t.notMatch(old, /chunked/i)
  t.match(old, /body$/)
})

t.test('100-continue: the container decides, and a gateway error comes before the upload', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    let size = 0
    req.on('data', (c) => {
      size += c.length
    })
    req.on('end', () => res.end(`${size}`))
  })
  web.server.on('checkContinue', (req, res) => {
    if (req.url === '/no') res.writeHead(417).end('no')
    else {
      res.writeContinue()
      web.server.emit('request', req, res)
    }
  })
  await gw.register({ name: 'web', ...web.at })
  const ask = async (path: string): Promise<string> => {
    const socket = connect(gw.port, '127.0.0.1')
    const closed = once(socket, 'close')
    let text = ''
    socket.on('data', (c) => {
      text += c
    })
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: web.x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
    )
    await until(() => text.includes('\r\n\r\n'))
    if (text.startsWith('HTTP/1.1 100')) socket.write('body')
    await closed
    return text
  }
  t.match(await ask('/yes'), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK[\s\S]*4$/)
  const no = await ask('/no')
  t.match(no, /^HTTP\/1\.1 417 /)
  t.match(no, /Connection: close/i)
})

t.test('bodies of unusual methods are framed', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    let body = ''
    req.on('data', (c) => {
      body += c
    })
    req.on('end', () =>
      res.end(
        JSON.stringify({ body, te: req.headers['transfer-encoding'], cl: req.headers['content-length'] }),
      ),
    )
  })
  await gw.register({ name: 'web', ...web.at })
  t.same((await gw.get('web.x', '/', { method: 'DELETE', body: 'abc' })).json(), { body: 'abc', cl: '3' })
  t.same((await gw.get('web.x', '/', { method: 'POST' })).json(), { body: '', cl: '0' })
  const chunked = await raw(
    gw.port,
    'GET / HTTP/1.1\r\nHost: web.x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  )
  t.match(chunked, /"body":"abc","te":"chunked"/)
})

t.test('a client that goes away takes the request to the container with it', async (t) => {
  const gw = await startGateway(t)
  const closed = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  const web = await httpContainer(t, (_req, res) => {
    res.on('close', () => closed.resolve())
    arrived.resolve()
  })
  await gw.register({ name: 'web', ...web.at })
  const req = request({ port: gw.port, headers: { host: 'web.x' } }).end()
  req.on('error', () => {})
  await arrived.promise
  req.socket?.resetAndDestroy()
  await closed.promise
  t.pass('the container saw the close')
})

t.test('an answer that breaks off in the middle is broken for the client too', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) =>
      s.once('data', () =>
        s.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', () => s.destroy()),
      ),
  ])
  await gw.register({ name: 'web', ...web.at })
  await t.rejects(gw.get('web.x'), { code: 'ECONNRESET' })
  const bytes = await raw(gw.port, 'GET / HTTP/1.1\r\nHost: web.x\r\n\r\n')
  t.notMatch(bytes, /0\r\n\r\n$/, 'no final chunk')
})

t.test('an early answer reaches a client that is still uploading', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (_req, res) => {
    res.writeHead(413, { connection: 'close' }).end('too large')
  })
  await gw.register({ name: 'web', ...web.at })
  const bytes = await raw(
    gw.port,
    `POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`,
  )
  t.match(bytes, /^HTTP\/1\.1 413 [\s\S]*too large/)
})

t.test('a loop is answered 508', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    // A container that sends everything back to the gateway, headers included.
    const again = request({ port: gw.port, path: req.url, headers: req.headers }, (r) => {
      res.writeHead(r.statusCode ?? 0)
      r.pipe(res)
    })
    again.end()
  })
  await gw.register({ name: 'web', ...web.at })
  const got = await gw.get('web.x')
  t.equal(got.status, 508)
  t.match(got.body, /round in circles/)
})
