/** The strict reader of heads: what it takes, Node's parser takes too and reads the same. */

import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import {
  rawHeadersOf,
  readRequest,
  readResponse,
  readTrailers,
} from '../../../../../gateway/ingress/fast/heads.ts'
import { headerLines, requestHeaders, responseHeaders } from '../../../../../gateway/ingress/headers.ts'

const request = (lines: string): Buffer => Buffer.from(`${lines}\r\n\r\n`, 'latin1')

t.test('a plain request is read whole', async (t) => {
  const head = readRequest(
    request(
      'POST /a?b=%20 HTTP/1.1\r\nHost:web.x:80 \r\nAccept: a\r\nX-A: \t 1 \r\naccept:b\r\nConnection: Close\r\nContent-Length: 3',
    ),
  )
  t.match(head, { method: 'POST', target: '/a?b=%20', host: 'web.x:80', accept: 'a, b', length: 3 })
  t.equal(head?.close, true)
  t.equal(head?.passed, 'Accept: a\r\nX-A: \t 1 \r\naccept:b\r\n')
  t.match(readRequest(request('GET / HTTP/1.1\r\nHost: x')), { passed: '', length: undefined, close: false })
})

const left: readonly [name: string, lines: string][] = [
  ['no Host', 'GET / HTTP/1.1\r\nX: 1'],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a'],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a'],
  ['an unknown method', 'BREW / HTTP/1.1\r\nHost: a'],
  ['absolute-form', 'GET http://a/ HTTP/1.1\r\nHost: a'],
  ['asterisk-form', 'OPTIONS * HTTP/1.1\r\nHost: a'],
  ['a fragment', 'GET /#a HTTP/1.1\r\nHost: a'],
  ['two blanks', 'GET  / HTTP/1.1\r\nHost: a'],
  ['a chunked body', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked'],
  ['both framings', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked'],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1'],
  ['a list of lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1'],
  ['a signed length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1'],
  ['an empty length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length:'],
  ['a length beyond all numbers', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${'9'.repeat(16)}`],
  ['a blank before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nX : 1'],
  ['a line folded', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2'],
  ['no name', 'GET / HTTP/1.1\r\nHost: a\r\n: 1'],
  ['no colon', 'GET / HTTP/1.1\r\nHost: a\r\nX'],
  ['a bare CR', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2'],
  ['a bare LF', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2'],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: a\r\nX: \0'],
  ['a byte of 7f', 'GET / HTTP/1.1\r\nHost: a\r\nX: \x7f'],
  ['an upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket'],
  ['options of the connection', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-A'],
  ['100-continue', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue'],
  ['TE', 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers'],
  ['a request that has passed a gateway', 'GET / HTTP/1.1\r\nHost: a\r\nX-Flatnet-Via: 1'],
  ['a long head', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(9000)}`],
  ['an empty line before', '\r\nGET / HTTP/1.1\r\nHost: a'],
]
for (const [name, lines] of left) {
  t.test(`left to Node: ${name}`, async (t) => t.equal(readRequest(request(lines)), undefined))
}

t.test('what it takes, Node reads the same', async (t) => {
  const seen: IncomingMessage[] = []
  const server = createServer({ insecureHTTPParser: false }, (req, res) => {
    seen.push(req)
    res.end()
  })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const byNode = async (bytes: Buffer): Promise<IncomingMessage | undefined> => {
    seen.length = 0
    const socket = connect(port, '127.0.0.1').resume()
    socket.on('error', () => {})
    socket.end(bytes)
    await once(socket, 'close')
    return seen.length === 1 ? seen[0] : undefined
  }
  const odd = fc.constantFrom('\t', ' ', '\r', '\n', '\0', ':', '\x7f', '\xe9', '#', '"', '(', 'a', ';', ',')
  const text = fc.string({
    unit: fc.oneof({ weight: 60, arbitrary: fc.constantFrom(...'azAZ09-_.~!') }, odd),
    maxLength: 8,
  })
  const name = fc.oneof(
    text,
    fc.constantFrom('Content-Length', 'transfer-encoding', 'Connection', 'Via', 'X_A'),
  )
  const value = fc.oneof(text, fc.constantFrom('0', '00', 'close', 'chunked', ' keep-alive\t'))
  const field = fc
    .tuple(name, fc.constantFrom(':', ': ', ': ', ':\t', ' :'), value)
    .map((parts) => parts.join(''))
  const line = fc.tuple(
    fc.constantFrom('GET', 'OPTIONS', 'DELETE', 'get'),
    text,
    fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
  )
  const head = fc.tuple(
    line,
    fc.array(field, { maxLength: 3 }),
    fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n'),
  )
  let taken = 0
  const property = fc.asyncProperty(head, async ([[method, path, version], fields, eol]) => {
    const lines = [`${method} /${path} HTTP/${version}`, 'Host: a', ...fields].join(eol)
    const bytes = request(lines)
    const own = readRequest(bytes)
    if (own === undefined || (own.length ?? 0) > 0) return true
    taken++
    const node = await byNode(bytes)
    return (
      node?.method === own.method &&
      node.url === own.target &&
      JSON.stringify(node.rawHeaders) === JSON.stringify(rawHeadersOf(own))
    )
  })
  await fc.assert(property, { numRuns: 2000 })
  t.ok(taken > 100, `${taken} were taken`)
})

/** Order does not matter between different names; values are compared without the blanks around them. */
const sorted = (lines: string): string[] =>
  lines
    .split('\r\n')
    .map((l) => l.replace(/:[ \t]*/, ': ').replace(/[ \t]+$/, ''))
    .sort()

const fields = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'Accept',
        'X-Real',
        'Via',
        'x-forwarded-for',
        'X_Forwarded_Host',
        'Proxy-Authorization',
        'Keep',
        'server',
        'Upgrade-Insecure-Requests',
        'cookie',
      ),
      fc.constantFrom('a', 'b, c', '', '10.0.0.1'),
    ),
    { maxLength: 8 },
  )
  .map((all) => all.map(([n, v]) => `\r\n${n}: ${v}`).join(''))

t.test('lines passed on as they are: the same as header by header', async (t) => {
  const facts = {
    method: 'GET',
    host: 'a:81',
    clientAddress: '::ffff:10.0.0.9',
    localPort: 80,
    hostId: 7,
    prefix: '',
  }
  const own = headerLines(requestHeaders({ ...facts, rawHeaders: [], endpoint: '' }))
  const property = fc.property(fields, (more) => {
    const head = readRequest(request(`GET / HTTP/1.1\r\nHost: a:81${more}`))!
    if (head.passed === undefined) return /via|x-for|x_for|proxy-auth/i.test(more)
    const all = requestHeaders({ ...facts, rawHeaders: rawHeadersOf(head), endpoint: '' })
    return JSON.stringify(sorted(own + head.passed)) === JSON.stringify(sorted(headerLines(all)))
  })
  fc.assert(property, { numRuns: 2000 })
  const answer = fc.property(fields, fc.constantFrom('close', 'keep-alive', 'Server'), (more, option) => {
    const head = readResponse(`HTTP/1.1 200 OK\r\nConnection: ${option}\r\nKeep-Alive: timeout=5${more}\r\n`)!
    if (head.passed === undefined) return option === 'Server'
    const all = headerLines(responseHeaders({ rawHeaders: rawHeadersOf(head), hostId: 7, trailersFit: true }))
    return JSON.stringify(sorted(`${head.passed}Via: 1.1 flatnet-7\r\n`)) === JSON.stringify(sorted(all))
  })
  fc.assert(answer, { numRuns: 2000 })
  t.pass()
})

t.test('answers', async (t) => {
  const read = (lines: string) => readResponse(`${lines}\r\n`)
  t.match(read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x'), {
    ...{ status: 200, message: 'OK', framing: 'length', length: 5 },
    ...{ keepsAlive: true, isEvents: false, hasDate: true },
  })
  t.match(read('HTTP/1.1 200'), { message: '', framing: 'close', hasDate: false })
  t.match(read('HTTP/1.0 200 OK\r\nContent-Length: 5'), { keepsAlive: false })
  t.match(read('HTTP/1.1 200 OK\r\nConnection: x, Close'), { keepsAlive: false, passed: undefined })
  t.match(read('HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked'), { framing: 'chunked', passed: '' })
  t.match(read('HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream;a'), { isEvents: true })
  for (const bad of [
    'HTTP/2 200 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 200 O\x01K',
    'SSH-2.0-OpenSSH',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5',
    'HTTP/1.1 200 OK\r\nContent-Length: 5x',
    'HTTP/1.1 200 OK\r\nContent-Length : 5',
    'HTTP/1.1 200 OK\r\nX: 1\r\n 2',
    'HTTP/1.1 200 OK\r\nX: \0',
  ]) {
    t.equal(read(bad), undefined, bad)
  }
  t.same(readTrailers('A: 1\r\nB:2 \r\n'), ['A', '1', 'B', '2'])
  t.same(readTrailers(''), [])
  t.equal(readTrailers('A: 1\r\nB : 2\r\n'), undefined)
})
