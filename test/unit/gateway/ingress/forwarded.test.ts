/** What is taken from the forwarded fields of a trusted proxy. */

import t from 'tap'
import {
  forwardedFor,
  hostSaid,
  isForwarded,
  prefixSaid,
  schemeSaid,
} from '../../../../gateway/ingress/forwarded.ts'

/** The first value is that of the proxy which the client reached. */
const schemes: readonly [raw: readonly string[], expected: 'https' | 'http' | undefined][] = [
  [[], undefined],
  [['X-Forwarded-Proto', 'https'], 'https'],
  [['X-Forwarded-Proto', ' HTTPS , http'], 'https'],
  [['X-Forwarded-Proto', 'http, https'], 'http'],
  [['X-Forwarded-Proto', 'https', 'X-Forwarded-Proto', 'http'], 'https'],
  [['X-Forwarded-Proto', 'wss'], 'https'],
  [['X-Forwarded-Proto', ''], undefined],
  [['X-Forwarded-Proto', 'http', 'X-Forwarded-Ssl', 'on'], 'http'],
  [['X-Forwarded-Ssl', 'on'], 'https'],
  [['X-Forwarded-Ssl', 'off'], 'http'],
  [['Front-End-Https', 'On'], 'https'],
  [['X-Forwarded-Scheme', 'https'], 'https'],
  [['X-Url-Scheme', 'https'], 'https'],
  [['Forwarded', 'for=192.0.2.1'], undefined],
  [['Forwarded', 'for="[fd00::1]";Proto=https, proto=http'], 'https'],
  [['Forwarded', 'proto="https"', 'X-Forwarded-Ssl', 'off'], 'https'],
]
for (const [raw, expected] of schemes) t.equal(schemeSaid(raw), expected, raw.join(' '))

t.equal(hostSaid(['X-Forwarded-Host', 'shop.example, gw']), 'shop.example')
t.equal(hostSaid(['Host', 'gw']), undefined)

for (const [value, expected] of [
  ['/app', '/app'],
  ['/app/', '/app'],
  ['/a/b', '/a/b'],
  ['/', ''],
  ['app', ''],
  ['//other.example', ''],
  ['/a, /b', ''],
] as const)
  t.equal(prefixSaid(['X-Forwarded-Prefix', value]), expected, value)
t.equal(prefixSaid(['X-Forwarded-Prefix', '/a', 'X-Forwarded-Prefix', '/b']), '')

t.equal(forwardedFor('10.0.0.1'), 'for=10.0.0.1')
t.equal(forwardedFor('fd00::1'), 'for="[fd00::1]"')

for (const name of [
  'forwarded',
  'x-forwarded-by',
  'x_forwarded_for',
  'x_real-ip',
  'front-end-https',
  'true_client_ip',
])
  t.ok(isForwarded(name), name)
for (const name of ['host', 'x-real', 'x-forwardedfor', 'via']) t.notOk(isForwarded(name), name)
