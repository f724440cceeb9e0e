/** Where plain HTTP is sent. */

import t from 'tap'
import { httpsLocation } from '../../../../gateway/ingress/redirect.ts'

for (const [url, host, port, expected] of [
  ['/a?b', 'web.x', 443, 'https://web.x/a?b'],
  ['/a?b', 'web.x:8080', 8443, 'https://web.x:8443/a?b'],
  ['/', '[fd00::1]:8080', 8443, 'https://[fd00::1]:8443/'],
  ['http://other.x:80/a', 'web.x', 443, 'https://other.x/a'],
  ['http://other.x', 'web.x', 443, 'https://other.x/'],
  ['/.well-known/acme-challenge/token', 'web.x', 443, undefined],
  ['/', undefined, 443, undefined],
  ['/', '', 443, undefined],
  ['*', 'web.x', 443, undefined],
  ['/', 'a@b', 443, undefined],
  ['/', 'web.x"', 443, undefined],
] as const)
  t.equal(httpsLocation({ url, host, port, scheme: undefined }), expected, `${host} ${url}`)
t.equal(httpsLocation({ url: '/', host: 'web.x', port: 443, scheme: 'https' }), undefined)
t.equal(httpsLocation({ url: '/', host: 'web.x', port: 443, scheme: 'http' }), 'https://web.x/')
