/** Which container a Host and a target mean, as a table; and the rules for headers. */

import t from 'tap'
import type { Assignment } from '../../../../core/api.ts'
import { Events } from '../../../../gateway/base/events.ts'
import { requestHeaders, responseHeaders } from '../../../../gateway/ingress/headers.ts'
import { type HostNames, hostNames, withoutReserved } from '../../../../gateway/ingress/host-names.ts'
import { rewriteHeader } from '../../../../gateway/ingress/rewrite.ts'
import { type Decision, route } from '../../../../gateway/ingress/route.ts'
import { trailers } from '../../../../gateway/ingress/trailers.ts'
import { Registry } from '../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../gateway/registry/slices.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'

const registry = new Registry(1, 1, new Events(), new Slices({ base: 0x0a640000, prefixLen: 16 }, 24))
const put = (name: string, last: number, more: Partial<Assignment> = {}): void => {
  registry.put(assignmentOf({ name, ips: [`10.100.1.${last}/24`], ...more }))
}
put('web', 10, { aliases: ['www', '0123456789ab'] })
put('web-8080', 11)
put('my.app', 12, { httpPort: 3000 })
put('my', 13)
put('10-100-1-10', 14)
put('UPPER_case', 15)
put('10-100-9-9', 16)
put('gateway', 17)

const shown = (d: Decision): string => {
  if (d.kind === 'container') return `${d.ip}:${d.port} ${d.path}${d.prefix && ` below ${d.prefix}`}`
  if (d.kind === 'redirect') return `to ${d.location}`
  return d.kind === 'unknown' ? `unknown ${d.name}` : d.kind
}

const cases: [host: string | undefined, url: string, expected: string][] = [
  ['web.flatnet', '/a', '10.100.1.10:80 /a'],
  ['WEB.Example.ORG:8080', '/', '10.100.1.10:80 /'],
  ['web', '/', '10.100.1.10:80 /'],
  ['web.flatnet.', '/', '10.100.1.10:80 /'],
  ['www.x', '/', '10.100.1.10:80 /'],
  ['0123456789AB.x', '/', '10.100.1.10:80 /'],
  ['upper_CASE.x', '/', '10.100.1.15:80 /'],
  ['web-81.x', '/', '10.100.1.10:81 /'],
  // The exact name first.
  ['web-8080.x', '/', '10.100.1.11:80 /'],
  ['web-8080-81.x', '/', '10.100.1.11:81 /'],
  ['web-0.x', '/', 'unknown web-0'],
  ['web-65536.x', '/', 'unknown web-65536'],
  ['web-.x', '/', 'unknown web-'],
  // Names with dots before names that they begin with.
  ['my.app.flatnet', '/', '10.100.1.12:3000 /'],
  ['my.app-81.flatnet', '/', '10.100.1.12:81 /'],
  ['my.other.flatnet', '/', '10.100.1.13:80 /'],
  // A registered address before a name that looks like one; a name that looks like no registered one is a name.
  ['10-100-1-10.flatnet', '/', '10.100.1.10:80 /'],
  ['10-100-1-12.flatnet', '/', '10.100.1.12:3000 /'],
  ['10-100-1-12-8080.flatnet', '/', '10.100.1.12:8080 /'],
  ['10-100-9-9.flatnet', '/', '10.100.1.16:80 /'],
  ['10-100-1-99.flatnet', '/', 'unknown 10-100-1-99'],
  ['10-100-1-010.flatnet', '/', 'unknown 10-100-1-010'],
  ['169-254-169-254.flatnet', '/', 'unknown 169-254-169-254'],
  // The gateway itself.
  [undefined, '/', 'list'],
  ['', '/?x', 'list'],
  ['10.100.1.10', '/', 'list'],
  ['[fe80::1]:8080', '/', 'list'],
  ['localhost:8080', '/', 'list'],
  ['thismachine.lan', '/', 'list'],
  ['missing', '/', 'list'],
  ['10.100.1.10', '/x', 'unknown '],
  // By path, only where the Host names no container.
  ['10.0.0.1', '/~web/a?b', '10.100.1.10:80 /a?b below /~web'],
  ['thismachine.lan', '/~Web/', '10.100.1.10:80 / below /~Web'],
  ['wbe.x', '/~web/', '10.100.1.10:80 / below /~web'],
  ['10.0.0.1', '/~web-81/', '10.100.1.10:81 / below /~web-81'],
  ['10.0.0.1', '/~10-100-1-12/', '10.100.1.12:3000 / below /~10-100-1-12'],
  ['10.0.0.1', '/~my%2Eapp/', '10.100.1.12:3000 / below /~my%2Eapp'],
  ['10.0.0.1', '/~web', 'to /~web/'],
  ['10.0.0.1', '/~web?x=/~y', 'to /~web/?x=/~y'],
  ['10.0.0.1', '/~web//other.example', '10.100.1.10:80 //other.example below /~web'],
  ['10.0.0.1', '/~missing/', 'unknown missing'],
  ['10.0.0.1', '/~%ff/', 'bad'],
  ['10.0.0.1', '/~/', 'unknown '],
  ['web.x', '/~my/', '10.100.1.10:80 /~my/'],
  // Targets.
  ['other.x', 'http://web.x/a', '10.100.1.10:80 /a'],
  ['other.x', 'HTTP://web.x', '10.100.1.10:80 /'],
  ['web.x', 'http://10.100.1.10/', 'list'],
  ['web.x', 'http://user@web.x/', 'bad'],
  ['web.x', 'https://web.x/', 'bad'],
  ['web.x', 'web.x:80', 'bad'],
  ['web.x', '/a#b', 'bad'],
  ['web.x', '*', '10.100.1.10:80 *'],
  ['a b', '/', 'bad'],
  ['a.b.c.d.e.f.g.h.i', '/', 'unknown a'],
]

for (const [host, url, expected] of cases) {
  t.test(`${host} ${url}`, (t) => {
    t.equal(shown(route({ url, host, names: hostNames('thismachine.lan', []), lookup: registry })), expected)
    t.end()
  })
}

t.test('a name that may be a stranger’s: no list, and with ingress.domains no container', (t) => {
  const any = hostNames('thismachine.lan', [])
  const some = hostNames('thismachine.lan', ['*.corp.example', 'gate.corp.example'])
  const table: [names: HostNames, host: string, url: string, expected: string][] = [
    [any, 'web.attacker.example', '/', '10.100.1.10:80 /'],
    [any, 'none.attacker.example', '/', 'unknown none, a stranger'],
    [any, 'none.attacker.example', '/~none/', 'unknown none, a stranger'],
    [any, 'thismachine', '/', 'list'],
    [any, 'ThisMachine.local:8080', '/', 'list'],
    [any, 'thismachine.attacker.example', '/', 'unknown thismachine, a stranger'],
    [some, 'web.corp.example', '/', '10.100.1.10:80 /'],
    [some, 'gate.corp.example', '/', 'list'],
    [some, 'web.gate.corp.example', '/', '10.100.1.10:80 /'],
    [some, 'corp.example', '/', 'foreign corp.example'],
    [some, 'web.notcorp.example', '/', 'foreign web.notcorp.example'],
    [some, 'web.attacker.example', '/~web/', 'foreign web.attacker.example'],
    [some, 'web', '/', '10.100.1.10:80 /'],
    [some, '10.0.0.1:8080', '/', 'list'],
    [some, '[fd00::1]:8080', '/~web/a', '10.100.1.10:80 /a below /~web'],
  ]
  for (const [names, host, url, expected] of table) {
    const decision = route({ url, host, names, lookup: registry })
    const more = decision.kind === 'unknown' && !decision.isOwn ? ', a stranger' : ''
    t.equal(
      decision.kind === 'foreign' ? `foreign ${decision.host}` : `${shown(decision)}${more}`,
      expected,
      `${host} ${url}`,
    )
  }
  t.end()
})

t.test('the names of this machine are no container’s', (t) => {
  const names = hostNames('web.lan', [])
  const lookup = withoutReserved(registry, names)
  for (const host of ['web', 'web.lan', 'web.anything', 'localhost', 'localhost.x'])
    t.not(route({ url: '/', host, names, lookup }).kind, 'container', host)
  t.equal(shown(route({ url: '/', host: '10-100-1-10.x', names, lookup })), '10.100.1.10:80 /', 'by address')
  t.end()
})

t.test('rewriting below a prefix', (t) => {
  const facts = { prefix: '/~web', host: 'gw:8080', endpoint: '10.100.1.10:80' }
  const table: ['location' | 'set-cookie', string, string][] = [
    ['location', '/a', '/~web/a'],
    ['location', 'a', 'a'],
    ['location', '?x', '?x'],
    ['location', '/~web/a', '/~web/a'],
    ['location', '/~webber', '/~web/~webber'],
    ['location', 'http://gw:8080/a?b', '/~web/a?b'],
    ['location', 'http://GW:8080', '/~web/'],
    ['location', 'http://10.100.1.10/a', '/~web/a'],
    ['location', '//gw:8080/a', '/~web/a'],
    ['location', 'https://elsewhere/a', 'https://elsewhere/a'],
    ['location', '//elsewhere/a', '//elsewhere/a'],
    ['set-cookie', 'a=/x; path=/; HttpOnly', 'a=/x; path=/~web/; HttpOnly'],
    ['set-cookie', 'a=1; Path=/app', 'a=1; Path=/~web/app'],
    ['set-cookie', 'a=1', 'a=1'],
  ]
  for (const [name, value, expected] of table) t.equal(rewriteHeader(facts, name, value), expected, value)
  t.end()
})

t.test('headers keep their order, case and repetition', (t) => {
  const facts = {
    method: 'GET',
    host: undefined,
    clientAddress: '::ffff:10.1.1.1',
    localPort: 8080,
    hostId: 3,
    prefix: '',
    endpoint: '10.100.1.10:80',
  }
  for (const [method, length] of Object.entries({ GET: -1, DELETE: -1, POST: 4, PROPFIND: 4, REPORT: 4 })) {
    const headers = requestHeaders({ ...facts, method, rawHeaders: ['X-A', '1'] })
    t.equal(
      headers.indexOf('Content-Length'),
      length,
      `${method} without a body is not made a chunked request`,
    )
  }
  const coded = requestHeaders({
    ...facts,
    method: 'POST',
    rawHeaders: ['transfer-encoding', 'gzip, Chunked'],
  })
  t.equal(coded[coded.indexOf('Transfer-Encoding') + 1], 'gzip, chunked', 'carried, in lower case')
  t.same(
    requestHeaders({
      ...facts,
      rawHeaders: ['X-A', '1', 'x-a', '2', 'X-Flatnet-Via', '1, 2', 'Via', '1.0 a'],
    }),
    [
      'Host',
      '10.100.1.10:80',
      'X-A',
      '1',
      'x-a',
      '2',
      'X-Forwarded-For',
      '10.1.1.1',
      'X-Forwarded-Proto',
      'http',
      'X-Forwarded-Port',
      '8080',
      'X-Flatnet-Via',
      '1, 2, 3',
      'Via',
      '1.0 a, 1.1 flatnet-3',
    ],
  )
  const rawHeaders = [
    'Keep-Alive',
    'x',
    'Trailer',
    'X',
    'Set-Cookie',
    'a',
    'Set-Cookie',
    'b',
    'Transfer-Encoding',
    'chunked',
  ]
  t.same(responseHeaders({ rawHeaders, hostId: 3, trailersFit: false }), [
    'Set-Cookie',
    'a',
    'Set-Cookie',
    'b',
    'Via',
    '1.1 flatnet-3',
  ])
  t.same(trailers(['X-Sum', '1', 'Content-Length', '5', 'Set-Cookie', 'x', 'X-Forwarded-For', 'x']), [
    ['X-Sum', '1'],
  ])
  t.end()
})
