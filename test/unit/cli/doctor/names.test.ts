/** What doctor says about names for containers, by what the gateway tells of them. */

import t from 'tap'
import { type DnsFacts, judgeDns } from '../../../../cli/doctor/names.ts'

const dns = (...networks: NonNullable<DnsFacts>['networks']): DnsFacts => ({
  domain: 'flatnet.internal',
  networks,
})
const flatnet = { network: 'flatnet', address: '10.100.1.1' }

t.test('served', (t) => {
  t.match(judgeDns(dns({ ...flatnet, state: 'serving', problem: null })), [
    { id: 'names', state: 'ok', what: /NAME\.flatnet\.internal; their DNS server is 10\.100\.1\.1/ },
  ])
  t.match(
    judgeDns(dns({ ...flatnet, state: 'waiting', problem: null })),
    [{ state: 'ok' }],
    'no container yet',
  )
  t.end()
})

t.test('port 53 is taken: told with the way out', (t) => {
  const problem = 'another DNS server listens on 10.100.1.1:53'
  t.match(judgeDns(dns({ ...flatnet, state: 'failed', problem })), [
    { id: 'names', state: 'warn', what: /not served on network flatnet/, fix: problem },
  ])
  t.end()
})

t.test('switched off, an older gateway, or none', (t) => {
  t.same(judgeDns(null), [])
  t.same(judgeDns(undefined), [])
  t.end()
})
