/** cli/doctor/port-mapping: what is worth a warning of what routers answer. */
import t from 'tap'
import { judgePortMapping } from '../../../../cli/doctor/port-mapping.ts'

const judged = (mapping: Parameters<typeof judgePortMapping>[0]['mapping'], isWanted = true) =>
  judgePortMapping({ isWanted, mapping })

t.test('a router that says no is told, with the way out', async (t) => {
  const denied = { router: '192.168.1.1', reason: 'PCP: not allowed, UPnP: not allowed', isDenied: true }
  t.match(judged(denied), [
    {
      state: 'warn',
      what: 'router 192.168.1.1 does not let UDP in: PCP: not allowed, UPnP: not allowed',
      fix: /forward UDP 7443 there/,
    },
  ])
  const held = { protocol: 'pcp', external: '203.0.113.5:7443', until: '', ...denied } as const
  t.match(judged(held), [{ state: 'warn' }], 'also of a mapping that it does not renew')
  t.same(judged(denied, false), [], 'it is not wanted')
})

t.test(
  'a mapping is fine; a router that speaks none of the protocols, or no cluster, is no finding',
  async (t) => {
    const held = { protocol: 'pcp', external: '203.0.113.5:7443', until: '', router: '192.168.1.1' } as const
    t.match(judged(held), [{ state: 'ok', what: 'router 192.168.1.1 lets UDP in at 203.0.113.5:7443' }])
    t.same(judged({ router: '192.168.1.1', reason: 'PCP: no answer', isDenied: false }), [])
    t.same(judged({ reason: 'switched off' }), [])
    t.same(judged(null), [])
  },
)
