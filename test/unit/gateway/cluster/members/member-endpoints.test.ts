/** Which places containers are kept from: where members listen, and nothing else that a member names. */
import t from 'tap'
import { endpointsToRefuse } from '../../../../../gateway/cluster/members/member-endpoints.ts'

const supernet = { base: 0x0a640000, prefixLen: 16 }
const admitted = ['192.0.2.1:7443', '192.0.2.2:7444', '[2001:db8::1]:7443']

for (const [what, announced, more] of [
  ['a member that moved', ['198.51.100.7:7443'], [{ host: '198.51.100.7', port: 7443 }]],
  ['a place that is known', ['192.0.2.1:7443'], []],
  ['the service of a container', ['10.100.3.10:7443'], []],
  ["a name server, and another gateway's page", ['198.51.100.53:53', '192.0.2.2:8080'], []],
  ['no endpoint', ['here'], []],
] as const)
  t.test(what, async (t) => {
    t.same(endpointsToRefuse({ supernet, admitted, announced }), [
      { host: '192.0.2.1', port: 7443 },
      { host: '192.0.2.2', port: 7444 },
      { host: '2001:db8::1', port: 7443 },
      ...more,
    ])
  })

t.test('an address of the supernet that a member was admitted with', async (t) => {
  t.same(endpointsToRefuse({ supernet, admitted: ['10.100.3.10:7443'], announced: [] }), [])
})
