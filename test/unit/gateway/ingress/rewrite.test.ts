/** What is moved below `/~name` in answers, and back in requests. */

import t from 'tap'
import { readRequest } from '../../../../gateway/ingress/fast/request-head.ts'
import { requestHeaders } from '../../../../gateway/ingress/headers.ts'
import { type Rewritten, rewriteHeader } from '../../../../gateway/ingress/rewrite.ts'

const facts = {
  prefix: '/~web-9000',
  host: 'gw:8080',
  endpoint: '10.100.1.10:9000',
  forwardedHost: 'shop.example',
}

for (const [name, value, expected] of [
  ['location', '/login', '/~web-9000/login'],
  ['refresh', '0; url=/login', '0; url=/~web-9000/login'],
  ['refresh', '5;URL="/a?b"', '5;URL="/~web-9000/a?b"'],
  ['refresh', "0, url = '/a'", "0, url = '/~web-9000/a'"],
  ['refresh', '0; url=http://gw:8080/a', '0; url=/~web-9000/a'],
  ['refresh', '0; url=http://10.100.1.10:9000/a', '0; url=/~web-9000/a'],
  ['refresh', '0; url=/~web-9000/a', '0; url=/~web-9000/a'],
  ['refresh', '0; url=next', '0; url=next'],
  ['refresh', '0; url=https://example.org/', '0; url=https://example.org/'],
  ['refresh', '30', '30'],
  ['location', 'https://shop.example/a', '/~web-9000/a'],
  [
    'link',
    '</a>; rel=preload,<http://gw:8080/b>; title="x, y"',
    '</~web-9000/a>; rel=preload,</~web-9000/b>; title="x, y"',
  ],
  ['link', '<a>; rel=next, <https://example.org/>', '<a>; rel=next, <https://example.org/>'],
  ['set-cookie', 'a=1; Path=/; Path=/', 'a=1; Path=/~web-9000/; Path=/~web-9000/'],
  ['set-cookie', 'a=1; path=/~web-9000/; PATH = /~db/', 'a=1; path=/~web-9000/; PATH = /~web-9000/~db/'],
  ['set-cookie', 'a=1; Path="/"', 'a=1; Path="/~web-9000/"'],
  ['set-cookie', 'path=/; Secure', 'path=/; Secure'],
  ['service-worker-allowed', '/', '/~web-9000/'],
  ['service-worker-allowed', '/~db/', '/~web-9000/~db/'],
  ['service-worker-allowed', '/~web-9000/app/', '/~web-9000/app/'],
  ['service-worker-allowed', '/~web-9000/../', '/~web-9000/'],
  ['service-worker-allowed', '../', '/~web-9000/'],
  ['service-worker-allowed', '%2e%2e/', '/~web-9000/'],
  ['service-worker-allowed', 'http://gw:8080/~db/', '/~web-9000/~db/'],
  ['service-worker-allowed', 'http://[', '/~web-9000/'],
  ['clear-site-data', '"*"', undefined],
  ['alt-svc', 'h2="elsewhere.example:443"', undefined],
  ['strict-transport-security', 'max-age=31536000; includeSubDomains', undefined],
  ['nel', '{"report_to":"x","max_age":1}', undefined],
  ['report-to', '{"group":"x","max_age":1,"endpoints":[]}', undefined],
] as const satisfies [Rewritten, string, string | undefined][]) {
  t.test(`${name}: ${value}`, async (t) => t.equal(rewriteHeader(facts, name, value), expected))
}

/** What the container gets of a request below the prefix. */
const sent = (rawHeaders: string[], prefix: string): string[] =>
  requestHeaders({
    ...{ rawHeaders, prefix, method: 'COPY', host: 'gw', clientAddress: '192.0.2.1' },
    ...{ localPort: 80, hostId: 1, endpoint: '' },
  })

for (const [name, value, expected] of [
  ['Destination', 'http://gw:8080/~web-9000/b', 'http://gw:8080/b'],
  ['destination', '/~web-9000/b', '/b'],
  ['Destination', 'http://gw:8080/~web-90001/b', 'http://gw:8080/~web-90001/b'],
  ['Destination', 'http://gw:8080/b', 'http://gw:8080/b'],
  [
    'If',
    '<http://gw/~web-9000/a> (<urn:uuid:1>) </~web-9000/b> ([W/"x"])',
    '<http://gw/a> (<urn:uuid:1>) </b> ([W/"x"])',
  ],
  ['X-Other', '/~web-9000/b', '/~web-9000/b'],
] as const) {
  t.test(`request: ${name}: ${value}`, async (t) => {
    const got = sent([name, value], '/~web-9000')
    t.equal(got[got.indexOf(name) + 1], expected)
    t.equal(
      sent([name, value], '').includes(value),
      true,
      'a container with a name of its own gets it as it is',
    )
  })
}

t.test('the fast path does not copy a Destination unseen', async (t) => {
  const head = readRequest(Buffer.from('PUT / HTTP/1.1\r\nHost: a\r\nDestination: /b\r\n\r\n'))
  t.equal(head?.passed, undefined)
  t.ok(head)
})
