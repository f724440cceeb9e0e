/** What doctor says about names on the LAN, by what the gateway tells of them. */

import t from 'tap'
import { judgeLocalNames, type LocalNamesFacts } from '../../../../cli/doctor/local-names.ts'

const facts = (more: Partial<NonNullable<LocalNamesFacts>> = {}): LocalNamesFacts => ({
  published: 2,
  probing: 0,
  links: [{ ifname: 'eth0', address: '192.0.2.1', problem: null }],
  taken: [],
  problem: null,
  ...more,
})

t.test('published', (t) => {
  t.match(judgeLocalNames(facts()), [
    {
      id: 'local-names',
      state: 'ok',
      what: /2 container names on the LAN as NAME\.local.*192\.0\.2\.1 \(eth0\)/,
    },
  ])
  t.end()
})

t.test('a link that is refused, a name that is taken, no link', (t) => {
  const problem = 'another program has UDP 5353 for itself'
  const found = judgeLocalNames(
    facts({
      links: [{ ifname: 'eth0', address: '192.0.2.1', problem }],
      taken: [{ name: 'web.local', ifname: 'eth0', by: '192.0.2.9' }],
    }),
  )
  t.match(found, [
    { id: 'local-names', state: 'warn', what: /on eth0/, fix: problem },
    { id: 'local-name-taken', state: 'warn', what: 'web.local is taken by 192.0.2.9 on eth0' },
  ])
  t.equal(found.length, 2)
  t.match(judgeLocalNames(facts({ links: [], problem: 'no interface' })), [
    { id: 'local-names', state: 'warn', what: /no interface/ },
  ])
  t.end()
})

t.test('switched off, an older gateway, or none', (t) => {
  t.same(judgeLocalNames(null), [])
  t.same(judgeLocalNames(undefined), [])
  t.end()
})
