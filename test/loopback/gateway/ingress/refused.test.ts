/** Each refusal of a request names its rule, the fast path's as well as those of Node's parser. */

import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { raw, scriptedContainer } from '../../../helpers/gateway/gateway-upstream.ts'

const HOST = 'Host: web.x\r\n'
const post = (fields: string, body = ''): string => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n${body}`
const CHUNKED = 'Transfer-Encoding: chunked\r\n'

const refused: readonly [what: string, request: string, rule: RegExp, status?: number][] = [
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n', /not HTTP/],
  ['no token', `L(ST / HTTP/1.1\r\n${HOST}\r\n`, /method is not a token/],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', /no Host header/],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, /more than one Host/],
  ['a version', `GET / HTTP/1.2\r\n${HOST}\r\n`, /version is neither/],
  ['the version of HTTP/2', `GET / HTTP/2.0\r\n${HOST}\r\n`, /version is neither/],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /HTTP\/2 without TLS/],
  ['a target with a blank', `GET /a b HTTP/1.1\r\n${HOST}\r\n`, /target has a blank/],
  ['a control character in the target', `GET /\x01 HTTP/1.1\r\n${HOST}\r\n`, /percent-encoded/],
  ['a target that is no path', `GET a HTTP/1.1\r\n${HOST}\r\n`, /neither a path nor/],
  ['mixed line ends', `GET / HTTP/1.1\r\nX: 1\n${HOST}\r\n`, /LF alone and in CRLF/],
  ['a bare CR', `GET / HTTP/1.1\r\n${HOST}X: 1\rY: 2\r\n\r\n`, /CR in its value/],
  ['a folded field', `GET / HTTP/1.1\r\n${HOST}X: 1\r\n 2\r\n\r\n`, /folded/],
  ['a folded first field', `GET / HTTP/1.1\r\n X: 1\r\n${HOST}\r\n`, /folded/],
  ['a blank before the colon', `GET / HTTP/1.1\r\n${HOST}X : 1\r\n\r\n`, /blank before its colon/],
  ['NUL', `GET / HTTP/1.1\r\n${HOST}X: \0\r\n\r\n`, /control character/],
  [
    'two lengths',
    post('Content-Length: 2\r\nContent-Length: 3\r\n', 'hi!'),
    /Content-Length stands there twice/,
  ],
  ['a signed length', post('Content-Length: +2\r\n', 'hi'), /Content-Length is not a number/],
  ['a list of lengths', post('Content-Length: 2, 2\r\n', 'hi'), /Content-Length is not a number/],
  ['no length', post('Content-Length:\r\n'), /Content-Length is not a number/],
  ['CL.TE', post(`Content-Length: 5\r\n${CHUNKED}`, '0\r\n\r\n'), /exclude each other/],
  ['TE.CL', post(`${CHUNKED}Content-Length: 5\r\n`, '0\r\n\r\n'), /exclude each other/],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'), /chunked/],
  [
    'another coding last',
    post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n'),
    /must be the last coding/,
  ],
  [
    'a blank behind a chunk size',
    post(CHUNKED, '2 \r\nhi\r\n0\r\n\r\n'),
    /size of a chunk is not hexadecimal/,
  ],
  ['a chunk that is none', post(CHUNKED, 'zz\r\nhi\r\n0\r\n\r\n'), /size of a chunk is not hexadecimal/],
  ['LF behind a chunk size', post(CHUNKED, '2\nhi\n0\n\n'), /chunk ends in LF alone/],
  ['LF behind a chunk', post(CHUNKED, '2\r\nhi\n0\r\n\r\n'), /chunk ends in LF alone/],
  ['a large chunk', post(CHUNKED, 'fffffffffffffffff\r\n'), /chunk is too large/],
  ['chunked in HTTP/1.0', post(CHUNKED, '0\r\n\r\n').replace('1.1', '1.0'), /in a request of HTTP\/1\.0/],
  [
    'a long head',
    `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(70_000)}\r\n\r\n`,
    /ingress\.maxHeaderBytes/,
    431,
  ],
  ['CONNECT', `CONNECT web.x:80 HTTP/1.1\r\n${HOST}\r\n`, /\r\nAllow: GET, [\s\S]*no tunnels/i, 405],
]

t.test('each refusal is a page that names the rule', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [(s) => s.once('data', () => s.end('HTTP/1.1 200 OK\r\n\r\n'))])
  await gw.register({ name: 'web', ...web.at })
  for (const [what, request, rule, status = 400] of refused) {
    const text = await raw(gw.port, Buffer.from(request, 'latin1'))
    t.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), what)
    t.match(text, rule, what)
  }
  t.notOk(
    web.received.some((r) => /\r\n\r\n[\s\S]/.test(r)),
    'no container saw a part of a body',
  )
  t.ok(
    web.received.filter((r) => r !== '').every((r) => /^transfer-encoding: chunked\r\n/im.test(r)),
    'nor a head but of a body that is refused later',
  )
  t.match(await raw(gw.port, post('Content-Length: 5\r\n', 'hi'), { end: true }), /client ended its side/)
})

t.test('one length twice is one length', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  ])
  await gw.register({ name: 'web', ...web.at })
  for (const more of ['', 'TE: trailers\r\n']) {
    const twice = `Content-Length: 2\r\nX: 1\r\ncontent-length:2 \r\n${more}Connection: close\r\n`
    t.match(await raw(gw.port, post(twice, 'hi')), /^HTTP\/1\.1 200 [\s\S]*ok$/)
    t.equal(web.received.at(-1)!.match(/content-length: 2\r\n/gi)?.length, 1)
    t.match(web.received.at(-1), /X: 1\r\n[\s\S]*\r\n\r\nhi$/)
  }
})
