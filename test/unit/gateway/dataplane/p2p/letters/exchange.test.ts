/** gateway/dataplane/p2p/letters/exchange: both ends make the same keys of a try, and of that try alone. */
import t from 'tap'
import { KeyExchange, type Try } from '../../../../../../gateway/dataplane/p2p/letters/exchange.ts'

const TRY: Try = { attempt: '0123456789abcdef', generation: 3 }
const CONTEXT = Buffer.from('1|4|0123456789abcdef')

/** @returns both ends after an offer and its answer */
function agreed(of: Try = TRY, asHeard: Try = of): readonly [KeyExchange, KeyExchange] {
  const [leader, follower] = [new KeyExchange(), new KeyExchange()]
  if (!follower.offered(asHeard, leader.offer(of))) throw new Error('no key')
  const answer = follower.answer(of.attempt)
  if (answer === undefined || !leader.answered(of.attempt, answer)) throw new Error('no answer')
  return [leader, follower]
}

const key = (end: KeyExchange, context = CONTEXT, binding = 'k3 1 a 4 b'): string | undefined =>
  end.export(64, 'label', context, binding)?.toString('hex')

t.test('both ends have 64 bytes of it, and each try has others', async (t) => {
  const [leader, follower] = agreed()
  t.equal(key(leader), key(follower))
  t.equal(key(leader)?.length, 128)
  t.not(key(leader), key(agreed()[0]))
  t.not(key(leader), key(leader, Buffer.from('1|4|0')))
  t.not(key(leader), key(leader, CONTEXT, 'k3 1 a 4 c'), 'another key of host 4')
  const [other, same] = agreed(TRY, { ...TRY, generation: 4 })
  t.not(key(other), key(same), 'another generation')
})

t.test('an answer counts once, of the try under way, and with a key that is one', async (t) => {
  const leader = new KeyExchange()
  t.equal(key(leader), undefined)
  const offer = leader.offer(TRY)
  const follower = new KeyExchange()
  t.notOk(follower.offered(TRY, offer.subarray(1)))
  t.notOk(follower.offered(TRY, Buffer.alloc(32)), 'the secret would be zeros')
  t.ok(follower.offered(TRY, offer))
  t.equal(follower.answer('0'.repeat(16)), undefined)
  const answer = follower.answer(TRY.attempt) ?? Buffer.alloc(0)
  t.notOk(leader.answered('0'.repeat(16), answer))
  t.notOk(leader.answered(TRY.attempt, Buffer.alloc(32)))
  t.ok(leader.answered(TRY.attempt, answer))
  const before = key(leader)
  t.notOk(leader.answered(TRY.attempt, answer), 'its own key is forgotten')
  t.equal(key(leader), before)
  leader.offer({ ...TRY, attempt: 'f'.repeat(16) })
  t.equal(key(leader), undefined, 'a new try has no keys yet')
})
