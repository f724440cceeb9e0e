/** Two hosts probe for one name: RFC 6762 8.2, as it falls out for a host with one A record. */
import t from 'tap'
import type { ResourceRecord } from '../../../../gateway/mdns/message.ts'
import { tiebreak } from '../../../../gateway/mdns/records.ts'

const a = (data: string): ResourceRecord => ({ type: 'A', name: 'web.local', data })
const aaaa: ResourceRecord = { type: 'AAAA', name: 'web.local', data: 'fe80::1' }
const chaos: ResourceRecord = { type: 'A', name: 'web.local', data: '255.0.0.1', class: 'CH' }

const OWN = '169.254.99.200'
const cases: readonly (readonly [string, readonly ResourceRecord[], string])[] = [
  ['the larger address wins (the example of RFC 6762 8.2)', [a('169.254.200.50')], 'lost'],
  ['bytes are compared as numbers from 0 to 255', [a('169.254.99.9')], 'won'],
  ['the same record is no conflict', [a(OWN)], 'same'],
  ['of several records the smallest counts', [a('169.254.200.50'), a('10.0.0.1')], 'won'],
  ['the same one and more of them wins', [a(OWN), aaaa], 'lost'],
  ['types are compared before values', [aaaa], 'lost'],
  ['an A record comes before AAAA', [aaaa, a('10.0.0.1')], 'won'],
  ['other classes do not count', [chaos], 'same'],
  ['no record', [], 'same'],
]
for (const [name, theirs, outcome] of cases)
  t.test(name, (t) => {
    t.equal(tiebreak(OWN, theirs), outcome)
    t.end()
  })
