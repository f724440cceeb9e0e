/** Doctor's judgement of what the ruleset dropped. */
import t from 'tap'
import { gatherDrops, judgeDrops } from '../../../../cli/doctor/drops.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

t.test('forged packets are a warning, refused services are told', async (t) => {
  t.match(judgeDrops([]), [{ id: 'drops', state: 'ok' }])
  t.match(judgeDrops([['host_service', 3]]), [{ state: 'ok', what: /3 to services of this host/ }])
  const both = judgeDrops([
    ['host_service', 3],
    ['forged', 2],
  ])
  t.match(both, [{ state: 'warn', what: /3 to services of this host, 2 from a container with an address/ }])
})

t.test('the counters of our tables, and of no other', async (t) => {
  const counter = (table: string, name: string, packets: number) => ({
    counter: { family: 'inet', table, name, packets, bytes: 0 },
  })
  const listed = [
    { metainfo: {} },
    counter('flatnet', 'forged', 2),
    counter('flatnet', 'member_port', 0),
    counter('other', 'forged', 9),
  ]
  const host = fakeHost({ programs: { 'nft -j list counters': JSON.stringify({ nftables: listed }) } })
  t.same(gatherDrops(host), [['forged', 2]])
  t.same(gatherDrops(fakeHost({})), [], 'without nft nothing is known')
})
