/** Lines that are copied as a whole equal those that are built header by header; trailers. */

import fc from 'fast-check'
import t from 'tap'
import { rawHeadersOf, readTrailers } from '../../../../../gateway/ingress/fast/fields.ts'
import { readRequest } from '../../../../../gateway/ingress/fast/request-head.ts'
import { readResponse } from '../../../../../gateway/ingress/fast/response-head.ts'
import { headerLines, requestHeaders, responseHeaders } from '../../../../../gateway/ingress/headers.ts'

const request = (lines: string): Buffer => Buffer.from(`${lines}\r\n\r\n`, 'latin1')

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

t.test('trailers', async (t) => {
  t.same(readTrailers('A: 1\r\nB:2 \r\n'), ['A', '1', 'B', '2'])
  t.same(readTrailers(''), [])
  t.equal(readTrailers('A: 1\r\nB : 2\r\n'), undefined)
})
