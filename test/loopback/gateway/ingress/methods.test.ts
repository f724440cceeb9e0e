/** Requests that Node's parser has no words for: other methods, raw UTF-8 in the target, lines with LF alone. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
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

/** Answers each request with its request line; reads nothing before `starts`. */
const naming =
  (starts: Promise<void> = Promise.resolve()) =>
  (s: Socket) => {
    let text = ''
    s.pause()
    void starts.then(() => s.resume())
    s.on('data', (bytes) => {
      text += String(bytes)
      // The whole body is read before the answer.
      if (text.includes(`Length: ${LARGE}`) && !text.endsWith('!')) return
      const lines = [...text.matchAll(/(?:^|\n)([^\s]+ \/\S*) HTTP\/1\.1\r\n/g)]
      text = ''
      for (const [, line = ''] of lines)
        s.write(`HTTP/1.1 200 OK\r\nContent-Length: ${line.length + 2}\r\n\r\n<${line}>`)
    })
  }

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: web.x\r\nTE: trailers\r\n\r\n`
const list = 'LIST /b HTTP/1.1\r\nHost: web.x\r\n\r\n'
const end = 'BAN /c HTTP/1.1\r\nHost: web.x\r\nConnection: close\r\n\r\n'
const post = (fields: string, body: string): string =>
  `POST /a HTTP/1.1\r\nHost: web.x\r\n${fields}\r\n\r\n${body}`
const all = ['<GET /a>', '<LIST /b>', '<BAN /c>']
const posted = ['<POST /a>', ...all.slice(1)]

/** More than the sockets' buffers hold: Node's server stops and resumes reading. */
const LARGE = 16 * 1024 * 1024
const pipelined: readonly [name: string, parts: readonly string[], answers: readonly string[]][] = [
  ['in one packet', [get('/a') + list + end], all],
  ['in the next packet', [get('/a'), list + end], all],
  ['one in each packet', [get('/a'), list, end], all],
  ['right behind a body', [post('Content-Length: 2\r\nTE: trailers', 'hi') + list + end], posted],
  ['behind the rest of a body', [post('Content-Length: 4\r\nTE: trailers', 'hi'), `hi${list}${end}`], posted],
  [
    'behind a body that waits',
    [post(`Content-Length: ${LARGE}\r\nTE: trailers`, `${'x'.repeat(LARGE - 1)}!`), list, end],
    posted,
  ],
  [
    'one that could end a body',
    [get('/a') + list.replace('LIST', 'MKX') + end],
    [all[0]!, '<MKX /b>', all[2]!],
  ],
  ['behind chunks', [post('Transfer-Encoding: chunked', '2\r\nhi\r\n0\r\n\r\n') + list + end], posted],
]
for (const [name, parts, answers] of pipelined) {
  t.test(`any method behind a request that is under way: ${name}`, async (t) => {
    const gw = await startGateway(t)
    const { promise, resolve } = Promise.withResolvers<void>()
    const web = await scriptedContainer(t, [naming(promise), naming()])
    await gw.register({ name: 'web', ...web.at })
    const socket = connect(gw.port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.setNoDelay(true)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    for (const part of parts) {
      socket.write(part)
      // Each in a segment of its own.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    resolve()
    await once(socket, 'close')
    t.same(text.match(/<[^>]+>/g), answers)
    t.notMatch(text, /HTTP\/1\.1 [^2]/)
  })
}

t.test('a method that begins where it cannot be told is refused', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [naming()])
  await gw.register({ name: 'web', ...web.at })
  const odd = 'XIST /b HTTP/1.1\r\nHost: web.x\r\n\r\n'
  const text = await raw(gw.port, post('Content-Length: 1\r\nTE: trailers', 'L') + odd)
  t.match(text, /HTTP\/1\.1 400 /, 'LXIST or XIST')
  t.notMatch(web.received.join(''), /XIST/)
})

t.test('a method that comes in two packets is one', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [naming()])
  await gw.register({ name: 'web', ...web.at })
  for (const before of ['', get('/a')]) {
    const socket = connect(gw.port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.setNoDelay(true)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(before)
    if (before !== '') await until(() => text.includes('<GET /a>'))
    socket.write('LI')
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.write('ST /b HTTP/1.1\r\nHost: web.x\r\n\r\n')
    await until(() => /LIST|HTTP\/1\.1 400 /.test(text), 'an answer')
    t.match(text, before === '' ? '<LIST /b>' : 'HTTP/1.1 400 ')
  }
  t.notMatch(web.received.join(''), /^ST /m, 'no container sees another method')
})
