/** gateway/dataplane/gateway-rates: the most that a pair has carried in a second, of the last ten minutes. */
import t from 'tap'
import { GatewayRates } from '../../../../gateway/dataplane/gateway-rates.ts'

const S = 1_000

function world() {
  const at = { now: 0, sentBytes: 5_000_000, receivedBytes: 0, hostId: 2 }
  const rates = new GatewayRates(
    () => [{ ...at }],
    () => at.now,
  )
  /** After so many seconds in which so much was sent and received. */
  const after = (seconds: number, sent: number, received = 0): number | undefined => {
    at.now += seconds * S
    at.sentBytes += sent
    at.receivedBytes += received
    return rates.peakBps(2)
  }
  return { rates, after }
}

t.test('bits per second in the busier direction, from the first second that was seen whole', async (t) => {
  const { after } = world()
  t.equal(after(0, 0), undefined)
  t.equal(after(1, 1_000_000), 0, 'what was before is not of this second')
  t.equal(after(1, 1_000_000, 3_000), 8_000_000)
  t.equal(after(1, 0, 2_000_000), 16_000_000)
  t.equal(after(1, 100), 16_000_000, 'stays')
})

t.test('a burst between two looks counts for the second, and a long pause for all of it', async (t) => {
  const { after } = world()
  after(1, 0)
  t.equal(after(0.1, 1_000_000), 0)
  t.equal(after(0.9, 0), 8_000_000)
  t.equal(after(10, 20_000_000), 16_000_000)
})

t.test('what was ten minutes ago is no measure any more', async (t) => {
  const { after, rates } = world()
  after(1, 0)
  t.equal(after(1, 1_000_000), 8_000_000)
  t.equal(after(600, 0), 8_000_000)
  t.equal(after(1, 125), 1_000)
  t.equal(rates.peakBps(3), undefined, 'of a host that has no tunnel')
})
