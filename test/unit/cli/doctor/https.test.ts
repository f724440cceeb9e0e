/** Doctor's words about HTTPS. */

import t from 'tap'
import { type HttpsFacts, judgeHttps } from '../../../../cli/doctor/https.ts'

const now = Date.parse('2026-11-28T00:00:00Z')
const tls = (part: Partial<NonNullable<HttpsFacts['tls']>>) => ({
  address: '0.0.0.0',
  port: 8443,
  connections: 0,
  certificates: [{ names: ['web.x'], validTo: '2027-11-28T00:00:00.000Z' }],
  problems: [],
  ...part,
})

t.same(judgeHttps({ tls: undefined, now }), [], 'no answer is told elsewhere')
t.same(judgeHttps({ tls: null, now }), [], 'not configured')
t.match(judgeHttps({ tls: tls({}), now }), [{ state: 'ok' }])
t.match(judgeHttps({ tls: tls({ problems: ['ingress.tls.cert is "/x": it is gone'] }), now }), [
  { state: 'warn', what: /"\/x": it is gone/ },
])
const ending = [{ names: ['web.x'], validTo: '2026-12-01T00:00:00.000Z' }]
t.match(judgeHttps({ tls: tls({ certificates: ending }), now }), [
  { state: 'warn', what: /web\.x ends at 2026-12-01/ },
])
