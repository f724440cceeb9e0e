/** What a name is answered, as a table: type, name, rcode, and the data of the answers. */

import t from 'tap'
import type { Assignment } from '../../../../core/api.ts'
import { Events } from '../../../../gateway/base/events.ts'
import { answer, type Zone } from '../../../../gateway/dns/answer.ts'
import type { Query } from '../../../../gateway/dns/message.ts'
import { hostNames, withoutReserved } from '../../../../gateway/ingress/host-names.ts'
import { Registry } from '../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../gateway/registry/slices.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'

const supernet = { base: 0x0a640000, prefixLen: 16 }
const registry = new Registry(1, 1, new Events(), new Slices(supernet, 24))
const put = (name: string | undefined, last: number, more: Partial<Assignment> = {}): void => {
  registry.put(assignmentOf({ ...(name !== undefined && { name }), ips: [`10.100.1.${last}/24`], ...more }))
}
put('web', 10, { aliases: ['www', '0123456789ab'] })
put('my.app', 12)
put('10-100-1-10', 14)
put('UPPER_case', 15)
put('gateway', 17)
put(undefined, 18)
put('github.com', 19)
put('two', 20)
put('odd name', 21)
put('six', 22, { ips: ['10.100.1.22/24', 'fd00:1::22/64'] })
const newer = '2026-11-21T13:00:00.000Z'
put('two', 23, { createdAt: newer })
const remote = (last: number, name: string, hostId: number): Assignment =>
  assignmentOf({ name, hostId, ips: [`10.100.${hostId}.${last}/24`] })
registry.replace(2, { epoch: 1, seq: 1 }, [remote(10, 'db', 2)])
registry.setFreshness(2, 'unreachable')
registry.replace(3, { epoch: 1, seq: 1 }, [remote(10, 'old', 3)])
registry.setFreshness(3, 'gone')

const names = withoutReserved(registry, hostNames('gateway.example', []))
const isGone = (a: Assignment | undefined): boolean =>
  a !== undefined && registry.freshness(a.hostId) === 'gone'
const zone: Zone = {
  domain: 'flatnet.internal',
  supernet,
  lookup: {
    byName: (name) => names.byName(name),
    byIp: (ip) => (isGone(names.byIp(ip)) ? undefined : names.byIp(ip)),
  },
}

const ask = (type: string, name: string, more: Partial<Query> = {}): string => {
  const query = { id: 1, name, type, class: 'IN', ednsSize: undefined, flags: 0, ...more }
  const decided = answer(query, zone)
  if (decided.kind !== 'ours') return decided.kind
  const data = (decided.answers ?? []).map((a) => String('data' in a ? a.data : ''))
  const isTold = (decided.authorities ?? []).some(({ type: kind }) => kind === 'SOA')
  return [decided.rcode, ...data, ...(isTold ? ['SOA'] : [])].join(' ')
}

const cases: [type: string, name: string, expected: string][] = [
  // A name, bare and below the domain, in any case.
  ['A', 'web', 'NOERROR 10.100.1.10'],
  ['A', 'WEB', 'NOERROR 10.100.1.10'],
  ['A', 'web.flatnet.internal', 'NOERROR 10.100.1.10'],
  ['A', 'wEb.FlatNet.Internal', 'NOERROR 10.100.1.10'],
  ['A', 'upper_CASE', 'NOERROR 10.100.1.15'],
  ['ANY', 'web', 'NOERROR 10.100.1.10'],
  // Aliases are names.
  ['A', 'www', 'NOERROR 10.100.1.10'],
  ['A', '0123456789ab.flatnet.internal', 'NOERROR 10.100.1.10'],
  // One name, one container: the newest, as for ingress.
  ['A', 'two', 'NOERROR 10.100.1.23'],
  // The address with dashes, which no name can take.
  ['A', '10-100-1-10', 'NOERROR 10.100.1.10'],
  ['A', '10-100-1-18.flatnet.internal', 'NOERROR 10.100.1.18'],
  // No port in DNS: web-2 is another container, also while it is stopped.
  ['A', 'web-2', 'foreign'],
  ['A', 'web-2.flatnet.internal', 'NXDOMAIN SOA'],
  ['A', '10-100-1-10-80.flatnet.internal', 'NXDOMAIN SOA'],
  // A type that the name lacks is no missing name.
  ['AAAA', 'web', 'NOERROR SOA'],
  ['MX', 'web.flatnet.internal', 'NOERROR SOA'],
  ['UNKNOWN_65', 'web', 'NOERROR SOA'],
  ['AAAA', 'six', 'NOERROR fd00:1::22'],
  ['ANY', 'six', 'NOERROR 10.100.1.22 fd00:1::22'],
  // Inside the domain nothing goes to other servers.
  ['A', 'nothing.flatnet.internal', 'NXDOMAIN SOA'],
  ['A', 'a.web.flatnet.internal', 'NXDOMAIN SOA'],
  ['A', 'flatnet.internal', 'NOERROR SOA'],
  ['SOA', 'flatnet.internal', 'NOERROR [object Object]'],
  // Everything else does.
  ['A', 'nothing', 'foreign'],
  ['A', 'example.com', 'foreign'],
  ['A', 'notflatnet.internal', 'foreign'],
  ['A', 'internal', 'foreign'],
  ['A', '.', 'foreign'],
  // Names with dots below the domain only: no container stands for github.com.
  ['A', 'github.com', 'foreign'],
  ['A', 'my.app', 'foreign'],
  ['A', 'my.app.flatnet.internal', 'NOERROR 10.100.1.12'],
  ['A', 'github.com.flatnet.internal', 'NOERROR 10.100.1.19'],
  // Reserved names: no container answers to them; localhost is not asked for anywhere.
  ['A', 'gateway', 'foreign'],
  ['A', 'gateway.flatnet.internal', 'NXDOMAIN SOA'],
  ['A', 'localhost', 'NXDOMAIN SOA'],
  ['A', 'a.localhost', 'NXDOMAIN SOA'],
  ['A', 'localhost.flatnet.internal', 'NXDOMAIN SOA'],
  // Hosts out of reach answer, gone ones do not, by name, address or PTR.
  ['A', 'db', 'NOERROR 10.100.2.10'],
  ['A', 'old.flatnet.internal', 'NXDOMAIN SOA'],
  ['A', '10-100-3-10.flatnet.internal', 'NXDOMAIN SOA'],
  ['PTR', '10.3.100.10.in-addr.arpa', 'NXDOMAIN SOA'],
  // PTR for the supernet: a name that leads back, else the address.
  ['PTR', '10.1.100.10.in-addr.arpa', 'NOERROR web.flatnet.internal'],
  ['PTR', '10.1.100.10.IN-ADDR.ARPA', 'NOERROR web.flatnet.internal'],
  ['PTR', '10.2.100.10.in-addr.arpa', 'NOERROR db.flatnet.internal'],
  ['PTR', '18.1.100.10.in-addr.arpa', 'NOERROR 10-100-1-18.flatnet.internal'],
  ['PTR', '17.1.100.10.in-addr.arpa', 'NOERROR 10-100-1-17.flatnet.internal'],
  ['PTR', '20.1.100.10.in-addr.arpa', 'NOERROR 10-100-1-20.flatnet.internal'],
  ['PTR', '21.1.100.10.in-addr.arpa', 'NOERROR 10-100-1-21.flatnet.internal'],
  ['PTR', '99.1.100.10.in-addr.arpa', 'NXDOMAIN SOA'],
  ['PTR', '1.100.10.in-addr.arpa', 'NOERROR SOA'],
  ['A', '10.1.100.10.in-addr.arpa', 'NOERROR SOA'],
  ['PTR', '10.1.101.10.in-addr.arpa', 'foreign'],
  ['PTR', '10.in-addr.arpa', 'foreign'],
  ['PTR', '1.10.1.100.10.in-addr.arpa', 'foreign'],
  ['PTR', 'x.1.100.10.in-addr.arpa', 'foreign'],
]

for (const [type, name, expected] of cases)
  t.test(`${type} ${name}`, (t) => {
    t.equal(ask(type, name), expected)
    t.end()
  })

t.test('the class CHAOS, by which servers tell their version, is refused', (t) => {
  t.equal(ask('TXT', 'version.bind', { class: 'CH' }), 'refused')
  t.equal(ask('A', 'web', { class: 'ANY' }), 'NOERROR 10.100.1.10')
  t.end()
})

t.test('addresses live 5 s, missing names 1 s', (t) => {
  const query = { id: 1, name: 'web', type: 'A', class: 'IN', ednsSize: undefined, flags: 0 }
  t.match(answer(query, zone), { answers: [{ name: 'web', ttl: 5 }] })
  t.match(answer({ ...query, name: 'x.flatnet.internal' }, zone), {
    authorities: [{ ttl: 1, data: { minimum: 1 } }],
  })
  t.end()
})
