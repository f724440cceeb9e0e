/** Answers of containers that other proxies take, byte for byte, by both ways through ingress. */

import t, { type Test } from 'tap'
import { startGateway, type TestGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { raw, scriptedContainer } from '../../../helpers/gateway/gateway-upstream.ts'

/** The fast path leaves requests with TE to Node. */
const ways = { 'the fast path': '', 'the way of Node': 'TE: trailers\r\n' } as const

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

const EARLY = 'HTTP/1.1 102 Processing\r\n\r\n'

const taken: readonly [what: string, answer: string, more?: RegExp][] = [
  ['LF alone', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
  ['LF in one line', 'HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\r\nok', /\r\nX-A: 1\r\n/],
  ['LF in chunk lines', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n'],
  ['a chunk size with blanks', `${CHUNKED}2  \r\nok\r\n0\r\n\r\n`],
  ['a chunk size with zeros', `${CHUNKED}0000000000000002\r\nok\r\n0\r\n\r\n`],
  ['chunked and a length', `${CHUNKED.slice(0, -2)}Content-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
  ['one length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok'],
  ['a control character', 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 2\r\n\r\nok', /X-A: a b\r\n/],
  ['two blanks in the status line', 'HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['no length', 'HTTP/1.1 200 OK\r\n\r\nok'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nok'],
  ['32 informational responses', `${EARLY.repeat(32)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`],
]

const refused: readonly [what: string, answer: string, rule: RegExp][] = [
  ['a bad chunk behind a good head', `${CHUNKED}zz\r\nok\r\n`, /malformed size/],
  [
    'two lengths',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
    /two different lengths/,
  ],
  [
    'a second coding',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    /"gzip, chunked"/,
  ],
  ['200,000 informational responses', EARLY.repeat(200_000), /more than 32 informational/],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', /does not begin with "HTTP/],
]

/** One request and the answer that the container gives to it. */
async function ask(
  t: Pick<Test, 'teardown'>,
  gw: TestGateway,
  answer: string,
  fields: string,
): Promise<string> {
  const name = `web${names++}`
  const web = await scriptedContainer(t, [(s) => s.once('data', () => s.end(answer, 'latin1'))])
  await gw.register({ name, ...web.at })
  return raw(gw.port, `GET / HTTP/1.1\r\nHost: ${name}.x\r\n${fields}Connection: close\r\n\r\n`)
}
let names = 0

for (const [way, fields] of Object.entries(ways)) {
  t.test(`odd answers with one reading are passed on: ${way}`, async (t) => {
    const gw = await startGateway(t)
    for (const [what, answer, more = /./] of taken) {
      const text = (await ask(t, gw, answer, fields)).replaceAll(EARLY, '')
      t.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n(?:ok|2\r\nok\r\n0\r\n\r\n)$/, what)
      t.match(text, more, what)
      t.equal(text.match(/^(?:content-length|transfer-encoding):/gim)?.length, 1, `${what}: one framing`)
    }
  })

  t.test(`others are refused with a page that names the rule: ${way}`, async (t) => {
    const gw = await startGateway(t)
    for (const [what, answer, rule] of refused) {
      const text = (await ask(t, gw, answer, fields)).replaceAll(EARLY, '')
      t.match(text, /^HTTP\/1\.1 502 /, what)
      t.match(text, rule, what)
    }
  })
}
