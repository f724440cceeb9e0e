/** The tables of `flatnet status`: every column, within 100 and 80 columns, also with the longest values. */
import t from 'tap'
import { pathTables, rateText } from '../../../../cli/status/path-table.ts'
import type { PathInfo } from '../../../../core/api.ts'

const since = '2026-11-28T16:00:00.000Z'
const measured = {
  reason: 'UDP is proven both ways',
  attempts: 1,
  generation: 1,
  address: '192.0.2.2:7443',
  tier: 'ipv4',
  rttMs: 0.42,
  jitterMs: 0.05,
  lossRate: 0.025,
  txBps: 912_000_000,
  rxBps: 14_000_000,
  mtu: 1500,
  form: 'whole',
  quality: 0.97,
} as const
const direct: PathInfo = {
  hostId: 2,
  state: 'P2P_ACTIVE',
  via: 'p2p',
  tier: 'ipv4',
  reason: 'UDP is proven both ways',
  rttMs: 0.42,
  since,
  p2p: measured,
}
const own: PathInfo = { hostId: 1, state: 'LOCAL', via: 'local', reason: 'own host', since }

t.test('the way to each host, and what was measured of UDP', async (t) => {
  t.same(pathTables([own, direct], 100).join('\n\n').split('\n'), [
    'HOST  STATE       VIA    TIER  RTT     SINCE (UTC)          REASON',
    '1     LOCAL       local  -     -       2026-11-28 16:00:00  own host',
    '2     P2P_ACTIVE  p2p    ipv4  0.4 ms  2026-11-28 16:00:00  UDP is proven both ways',
    '',
    'HOST  UDP      TIER  RTT     JITTER   LOSS   THROUGHPUT  MTU   FORM   QUALITY',
    '2     carries  ipv4  0.4 ms  0.05 ms  2.5 %  912 Mbit/s  1500  whole  0.97',
  ])
})

t.test('no table of UDP before the first round trip, and none without hosts', async (t) => {
  const fresh = {
    ...direct,
    state: 'P2P_ATTEMPTING',
    p2p: { reason: 'proving', attempts: 1, generation: 0 },
  } as const
  t.equal(pathTables([own, fresh], 100).length, 1)
  t.same(pathTables([], 100), [])
})

t.test('the longest values fit', async (t) => {
  const worst: PathInfo = {
    ...direct,
    hostId: 254,
    state: 'GATEWAY_FALLBACK',
    via: 'relay:254',
    tier: 'gateway',
    rttMs: 12_345,
    reason: `a reason of many ${'words '.repeat(50)}and an end`,
    p2p: {
      ...measured,
      tier: 'ipv6',
      rttMs: 12_345,
      jitterMs: 12_345,
      lossRate: 0.975,
      mtu: 65_535,
      form: 'record',
    },
  }
  const busy: PathInfo = {
    ...worst,
    state: 'P2P_ACTIVE',
    p2p: { ...measured, ...worst.p2p, txBps: 999_999_999 },
  }
  for (const width of [100, 80]) {
    const text = pathTables([own, worst, busy], width).join('\n')
    for (const line of text.split('\n')) t.ok(line.length <= width, `${line.length} of ${width}: ${line}`)
    const words = text.split(/\s+/).join(' ')
    t.ok(words.includes(worst.reason), `the whole reason can be read in ${width} columns`)
  }
})

t.test('a reason that does not fit stands whole below its row', async (t) => {
  const reason = 'failed 5 times in 10 min, last: no packet came back for 3.0 s; tried again in 1 min 58 s'
  const damped: PathInfo = { ...direct, state: 'GATEWAY_FALLBACK', via: 'gateway', tier: 'gateway', reason }
  t.same(pathTables([own, damped], 100)[0]?.split('\n').slice(1), [
    '1     LOCAL             local    -        -       2026-11-28 16:00:00  own host',
    '2     GATEWAY_FALLBACK  gateway  gateway  0.4 ms  2026-11-28 16:00:00',
    `      ${reason}`,
  ])
})

t.test('the rate of the busier direction, while UDP carries', async (t) => {
  const rate = (txBps: number, rxBps: number, state: PathInfo['state'] = 'P2P_ACTIVE'): string =>
    rateText({ state, p2p: { reason: '', attempts: 1, generation: 1, txBps, rxBps } })
  t.equal(rate(0, 0), '0 kbit/s')
  t.equal(rate(1_500_000, 12), '1.5 Mbit/s')
  t.equal(rate(12, 940_000_000), '940 Mbit/s')
  t.equal(rate(8_700_000_000, 0), '8.7 Gbit/s')
  t.equal(rate(1, 1, 'GATEWAY_FALLBACK'), '-')
})
