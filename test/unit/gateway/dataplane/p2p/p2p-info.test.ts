/** gateway/dataplane/p2p/p2p-info: a UDP path as the API shows it. */
import t from 'tap'
import { p2pInfoOf } from '../../../../../gateway/dataplane/p2p/p2p-info.ts'
import type { SessionView } from '../../../../../gateway/dataplane/p2p/protocol.ts'

const view = { state: 'P2P_ACTIVE', reason: 'good', generation: 3, attempts: 2 } as const
const session: SessionView = {
  hostId: 2,
  attempt: '0123456789abcdef',
  generation: 3,
  isPromoted: true,
  isProven: true,
  isFullSize: true,
  address: '192.0.2.2:7443',
  rttMs: 1.23456,
  jitterMs: 0.056,
  lossRate: 0.025,
  peerLossRate: 0.05,
  probes: { sent: 40, answered: 39, window: 40 },
  heard: { probes: 38, probeAt: 59_000, answerAt: 60_000 },
  mtu: 1500,
  form: 'whole',
  txBytes: 1,
  rxBytes: 1,
  txBps: 8,
  rxBps: 16,
  suspect: false,
  lagMs: 0,
  since: 0,
}

t.test('without a session: why, how often, and when next by the wall clock', async (t) => {
  const next = p2pInfoOf({ ...view, nextAttemptAt: 5_000 }, undefined, (at) => at + 1_000_000, 'ipv4')
  t.same(next, {
    reason: 'good',
    attempts: 2,
    generation: 3,
    nextAttemptAt: new Date(1_005_000).toISOString(),
  })
})

t.test('with one: figures, rounded, and the worse loss of both ends', async (t) => {
  t.same(
    p2pInfoOf(view, session, (at) => at, 'ice'),
    {
      reason: 'good',
      attempts: 2,
      generation: 3,
      address: '192.0.2.2:7443',
      tier: 'ice',
      probes: {
        sent: 40,
        answered: 39,
        answeredAt: '1970-01-01T00:01:00.000Z',
        received: 38,
        receivedAt: '1970-01-01T00:00:59.000Z',
      },
      rttMs: 1.23,
      jitterMs: 0.06,
      lossRate: 0.05,
      txBps: 8,
      rxBps: 16,
      mtu: 1500,
      form: 'whole',
      quality: 0.7,
    },
  )
})

t.test('what is not proven has no quality, and no loss before the first probe', async (t) => {
  const fresh = { ...session, isProven: false, probes: { sent: 0, answered: 0, window: 0 } }
  const info = p2pInfoOf(view, fresh, (at) => at, 'ipv4')
  t.notOk('quality' in info || 'mtu' in info || 'lossRate' in info)
})
