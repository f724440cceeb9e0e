/** Requests that the fast path reads itself, and the forms that it leaves to Node's parser. */

import t from 'tap'
import { readRequest } from '../../../../../gateway/ingress/fast/request-head.ts'

const request = (lines: string): Buffer => Buffer.from(`${lines}\r\n\r\n`, 'latin1')

t.test('a plain request is read whole', async (t) => {
  const head = readRequest(
    request(
      'POST /a?b=%20 HTTP/1.1\r\nHost:web.x:80 \r\nAccept: a\r\nX-A: \t 1 \r\naccept:b\r\n' +
        'Connection: Close\r\nContent-Length: 3',
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
  ['CONNECT', 'CONNECT /a HTTP/1.1\r\nHost: a'],
  ['no token as a method', 'B(EW / HTTP/1.1\r\nHost: a'],
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
  [
    'a length that no number holds exactly',
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${'9'.repeat(16)}`,
  ],
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
