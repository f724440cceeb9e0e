/** Requests that Node's parser has no words for: other methods, raw UTF-8 in the target, lines with LF alone. */

import { connect } from 'node:net'
import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'

/** The fast path leaves requests with TE to Node. */
const ways = { 'the fast path': '', 'the way of Node': 'TE: trailers\r\n' } as const

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

for (const [way, fields] of Object.entries(ways)) {
  const rest = `Host: web.x\r\n${fields}Connection: close\r\n\r\n`

  t.test(`a method is any token: ${way}`, async (t) => {
    const gw = await startGateway(t)
    const web = await scriptedContainer(t, [(s) => s.once('data', () => s.end(OK))])
    await gw.register({ name: 'web', ...web.at })
    const tokens = ['LIST', 'BAN', 'LABEL', 'VERSION-CONTROL', "!#$%&'*+-.^_`|~1A", 'GET']
    // Node's client writes methods in capitals.
    if (fields === '') tokens.push('get', 'lIST')
    for (const method of tokens) {
      t.match(await raw(gw.port, `${method} /v1?a HTTP/1.1\r\n${rest}`), /^HTTP\/1\.1 200 [\s\S]*ok$/, method)
      const [line] = web.received.at(-1)!.split('\r\n')
      t.equal(line, `${method} /v1?a HTTP/1.1`)
    }
    const chunked = 'Transfer-Encoding: chunked\r\n'
    const body = '2\r\nhi\r\n0\r\n\r\n'
    t.match(await raw(gw.port, `BAN / HTTP/1.1\r\n${chunked}${rest}${body}`), /ok$/, 'with a body')
    t.match(web.received.at(-1), /^BAN \/ [\s\S]*\r\n\r\n2\r\nhi\r\n0\r\n\r\n$/)
    const count = web.received.length
    for (const method of ['L(ST', 'LIST\t', '', 'L\xefST'])
      t.match(
        await raw(gw.port, Buffer.from(`${method} / HTTP/1.1\r\n${rest}`, 'latin1')),
        /^HTTP\/1\.1 400 /,
      )
    t.match(await raw(gw.port, `CONNECT web.x:80 HTTP/1.1\r\n${rest}`), /^HTTP\/1\.1 405 /)
    t.equal(web.received.length, count, 'none of these reaches the container')
  })

  t.test(`raw UTF-8 in the target, and lines with LF alone: ${way}`, async (t) => {
    const gw = await startGateway(t)
    const web = await scriptedContainer(t, [(s) => s.once('data', () => s.end(OK))])
    await gw.register({ name: 'web', ...web.at })
    t.match(await raw(gw.port, `GET /b\u00fccher?\u20ac HTTP/1.1\r\n${rest}`), /ok$/)
    t.match(web.received.at(-1), /^GET \/b%C3%BCcher\?%E2%82%AC HTTP\/1\.1\r\n/, 'percent-encoded')
    const lf = `POST / HTTP/1.1\r\nContent-Length: 2\r\n${rest}`.replaceAll('\r\n', '\n')
    t.match(await raw(gw.port, `${lf}hi`), /ok$/)
    t.match(web.received.at(-1), /^POST \/ HTTP\/1\.1\r\n[\s\S]*\r\n\r\nhi$/)
    t.notMatch(web.received.at(-1), /[^\r]\n/, 'the container gets CRLFs')
    const count = web.received.length
    const mixed = `GET / HTTP/1.1\r\nX: 1\nContent-Length: 2\r\n${rest}hi`
    t.match(await raw(gw.port, mixed), /^HTTP\/1\.1 400 /, 'not mixed with CRLF')
    t.equal(web.received.length, count)
  })
}

t.test('a method is any token in each request of a connection that Node reads', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (req, res) => {
    req.resume().on('end', () => res.end(`<${req.method} ${req.url}>`))
  })
  // Node's server has no name for the method either, so a scripted one answers to it.
  const vault = await scriptedContainer(t, [
    (s) =>
      s.on('data', (bytes) => {
        const [line = ''] = String(bytes).split(' HTTP/')
        s.write(`HTTP/1.1 200 OK\r\nContent-Length: ${line.length + 2}\r\n\r\n<${line}>`)
      }),
  ])
  await gw.register({ name: 'web', ...web.at })
  await gw.register({ name: 'vault', ...vault.at, containerId: 'vault' })
  const socket = connect(gw.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const ask = async (line: string, host: string, fields = '', body = ''): Promise<void> => {
    socket.write(`${line} HTTP/1.1\r\nHost: ${host}.x\r\n${fields}\r\n${body}`)
    await until(() => text.includes(`<${line}>`), line)
  }
  const coded = 'Transfer-Encoding: chunked\r\n'
  for (const n of [1, 2]) {
    await ask(`GET /a${n}`, 'web', 'TE: trailers\r\n')
    await ask(`POST /b${n}`, 'web', coded, '2\r\nok\r\n0\r\n\r\n')
    await ask(`LIST /c${n}`, 'vault')
    await ask(`GET /d${n}`, 'web')
    await ask(`BAN /e${n}`, 'vault', 'TE: trailers\r\n')
    await ask(`LABEL /f${n}`, 'vault', 'TE: trailers\r\n')
  }
  t.notMatch(text, /HTTP\/1\.1 [^2]/)
  t.notMatch(text, /Connection: close/i)
})
