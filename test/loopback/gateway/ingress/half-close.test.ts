/** Clients that end their side behind the request, as `nc -N` and BusyBox wget do. */

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw } from '../../../helpers/gateway/gateway-upstream.ts'

/** The fast path leaves requests with TE to Node. */
const ways = { 'the fast path': '', 'the way of Node': 'TE: trailers\r\n' } as const

for (const [way, fields] of Object.entries(ways)) {
  t.test(`a FIN behind the request is the end of requests, not of the client: ${way}`, async (t) => {
    const gw = await startGateway(t)
    let ended = 0
    const web = await httpContainer(t, (req, res) => {
      let body = ''
      req.on('data', (chunk) => {
        body += chunk
      })
      // The FIN has long arrived when the answer leaves.
      req.on('end', () => setTimeout(() => res.end(`${req.method} ${body}.`), 50))
      res.on('finish', () => ended++)
    })
    await gw.register({ name: 'web', ...web.at })
    const head = (method: string, more = ''): string =>
      `${method} / HTTP/1.1\r\nHost: web.x\r\n${fields}${more}\r\n`
    t.match(await raw(gw.port, head('GET'), { end: true }), /^HTTP\/1\.1 200 [\s\S]*GET \./)
    const post = `${head('POST', 'Content-Length: 2\r\n')}ok`
    t.match(await raw(gw.port, post, { end: true }), /^HTTP\/1\.1 200 [\s\S]*POST ok\./)
    const two = await raw(gw.port, head('GET') + post, { end: true })
    t.match(two, /GET \.[\s\S]*POST ok\./, 'and so are two requests')
    t.equal(ended, 4, 'each was executed once and answered')
    const chunked = `${head('POST', 'Transfer-Encoding: chunked\r\n')}2\r\nok\r\n0\r\n\r\n`
    t.match(await raw(gw.port, chunked, { end: true }), /^HTTP\/1\.1 200 [\s\S]*POST ok\./)
    const half = head('POST', 'Content-Length: 3\r\n')
    t.match(await raw(gw.port, `${half}ok`, { end: true }), /^HTTP\/1\.1 400 /, 'half a request is none')
  })

  t.test(`a client that has gone altogether is found: ${way}`, async (t) => {
    const gw = await startGateway(t)
    const gone = { stream: Promise.withResolvers<void>(), slow: Promise.withResolvers<void>() }
    const web = await httpContainer(t, (req, res) => {
      if (req.url === '/stream') {
        res.on('close', () => gone.stream.resolve())
        res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      } else {
        const timer = setInterval(() => res.write('more'), 5)
        res.on('close', () => {
          clearInterval(timer)
          gone.slow.resolve()
        })
      }
    })
    await gw.register({ name: 'web', ...web.at })
    for (const path of ['stream', 'slow'] as const) {
      const socket = connect(gw.port, '127.0.0.1')
      socket.write(`GET /${path} HTTP/1.1\r\nHost: web.x\r\n${fields}\r\n`)
      await once(socket, 'data')
      socket.destroy()
      await gone[path].promise
      t.pass(path === 'stream' ? 'an event stream by its FIN, at once' : 'by the next write')
    }
  })

  t.test(`a client that has closed is found although the answer pauses: ${way}`, async (t) => {
    const gw = await startGateway(t)
    const asked = Promise.withResolvers<ServerResponse>()
    const web = await httpContainer(t, (_req, res) => asked.resolve(res))
    await gw.register({ name: 'web', ...web.at })
    const socket = connect(gw.port, '127.0.0.1')
    socket.write(`GET / HTTP/1.1\r\nHost: web.x\r\n${fields}\r\n`)
    const res = await asked.promise
    socket.destroy()
    await once(socket, 'close')
    const cancelled = once(res, 'close', { signal: AbortSignal.timeout(20_000) })
    // These bytes bring the reset; no more follow.
    res.write('a line of a log that is followed')
    await cancelled
    t.pass('the request to the container is cancelled')
  })
}
