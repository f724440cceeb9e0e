/** Doctor's judge of connection tracking: a full table, a short memory for UDP, and their edges. */
import t from 'tap'
import { type ConntrackFacts, judgeConntrack } from '../../../../cli/doctor/conntrack.ts'

const well: ConntrackFacts = { count: 10, max: 1_000, udpTimeout: 30, udpStreamTimeout: 6 }

t.test('well, or not running', async (t) => {
  t.same(judgeConntrack(well), [])
  t.same(judgeConntrack({ ...well, count: 899 }), [])
  t.same(
    judgeConntrack({ count: undefined, max: undefined, udpTimeout: undefined, udpStreamTimeout: undefined }),
    [],
  )
})

t.test('troubles', async (t) => {
  t.match(judgeConntrack({ ...well, count: 900 }), [{ id: 'conntrack-full', fix: /nf_conntrack_max=2000/ }])
  t.match(judgeConntrack({ ...well, udpTimeout: 29 }), [
    { id: 'conntrack-udp-timeout', state: 'warn', what: /after 29 s/, fix: /udp_timeout=30/ },
  ])
  t.match(judgeConntrack({ ...well, udpStreamTimeout: 5 }), [
    { id: 'conntrack-udp-timeout', state: 'warn', what: /after 5 s/, fix: /timeout_stream=120/ },
  ])
})
