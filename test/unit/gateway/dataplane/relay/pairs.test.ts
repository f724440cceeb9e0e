/** gateway/relay pairs: what a pair has spent is not forgotten when it begins again. */
import t from 'tap'
import { Circuit } from '../../../../../gateway/dataplane/relay/circuit.ts'
import { RelayLimit } from '../../../../../gateway/dataplane/relay/limits.ts'
import { Pairs } from '../../../../../gateway/dataplane/relay/pairs.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

const circuit = (from: number, to: number): Circuit =>
  new Circuit(from, to, { scheduler: new SimTime().scheduler(() => 0), passed() {}, ended() {} })

t.test('a pair that is opened anew goes on with its bucket', (t) => {
  const pairs = new Pairs(64)
  const first = circuit(1, 2)
  const bucket = pairs.enter(first, 0)
  t.equal(bucket.reserve(RelayLimit.burstBytes, 0), 0)
  pairs.leave(first)
  t.equal(pairs.size, 0)
  const again = pairs.enter(circuit(2, 1), 0)
  t.ok(again.reserve(RelayLimit.bytesPerS, 0) > 0, 'the burst is spent, from either end')
  t.equal(pairs.enter(circuit(1, 3), 0).reserve(RelayLimit.burstBytes, 0), 0, 'another pair has its own')
  t.end()
})
