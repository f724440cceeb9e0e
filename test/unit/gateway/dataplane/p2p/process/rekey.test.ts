/** The rekey of two hosts, with messages that are lost or cross each other. */
import t from 'tap'
import { createKeyPair } from '../../../../../../gateway/dataplane/p2p/process/key-pair.ts'
import {
  type KeyPair,
  Rekey,
  type RekeyAction,
} from '../../../../../../gateway/dataplane/p2p/process/rekey.ts'

interface Side {
  readonly rekey: Rekey
  readonly replaced: { dh: string; when: string; at: number }[]
  expiredAt?: number
}

/** Two hosts and what goes between them; `loses` decides on each message. */
class Pair {
  now = 0
  loses: (message: RekeyAction) => boolean = () => false
  isAlive = true
  readonly low = side(true, this.now)
  readonly high = side(false, this.now)
  messages = 0

  until(end: number): this {
    for (; this.now < end; this.now += 100) for (const at of [this.low, this.high]) this.tick(at)
    return this
  }

  tick(at: Side): void {
    this.act(at, at.rekey.tick(this.now, this.messages, this.isAlive))
  }

  act(at: Side, actions: readonly RekeyAction[]): void {
    const other = at === this.low ? this.high : this.low
    for (const action of actions) {
      if (action.do === 'expired') at.expiredAt ??= this.now
      else if (action.do === 'replace') {
        at.replaced.push({ dh: action.dh.toHex(), when: action.when, at: this.now })
        // What seals with new keys is heard by the other side.
        if (action.when === 'now') other.rekey.confirmed(this.now, this.messages)
      } else if (this.loses(action)) continue
      else if (action.do === 'offer') this.act(other, other.rekey.offered(action.epoch, action.publicKey))
      else this.act(other, other.rekey.answered(action.epoch, action.publicKey, this.now, this.messages))
    }
  }
}

function side(isLower: boolean, now: number): Side {
  return { rekey: new Rekey({ isLower, createKeyPair }, now), replaced: [] }
}

t.test('every 120 s, begun by the lower hostId, and both have the same', async (t) => {
  const pair = new Pair().until(370_000)
  t.same(
    pair.low.replaced.map(({ at, when }) => [at, when]),
    [
      [120_000, 'now'],
      [240_000, 'now'],
      [360_000, 'now'],
    ],
  )
  t.same(
    pair.high.replaced.map(({ when }) => when),
    ['heard', 'heard', 'heard'],
  )
  t.same(
    pair.high.replaced.map(({ dh }) => dh),
    pair.low.replaced.map(({ dh }) => dh),
  )
  t.equal(new Set(pair.low.replaced.map(({ dh }) => dh)).size, 3)
  t.equal(pair.low.rekey.epoch, 3)
  t.equal(pair.high.rekey.epoch, 3)
})

t.test('sessions of one moment are spread over a fifth of the interval', async (t) => {
  const dueAt = (random: number) =>
    new Rekey({ isLower: true, createKeyPair, random: () => random }, 0).nextAt
  t.same([dueAt(0), dueAt(0.5), dueAt(1)], [96_000, 108_000, 120_000])
})

t.test('after 2^32 messages, however early', async (t) => {
  const pair = new Pair().until(1_000)
  t.equal(pair.low.rekey.epoch, 0)
  pair.messages = 2 ** 32
  pair.until(1_200)
  t.equal(pair.low.rekey.epoch, 1)
})

t.test('both offer at once: that of the lower one counts, once', async (t) => {
  const pair = new Pair()
  pair.now = 200_000
  const low = pair.low.rekey.tick(pair.now, 0, true)
  const high = pair.high.rekey.tick(pair.now, 0, true)
  t.same([low[0]?.do, high[0]?.do], ['offer', 'offer'])
  pair.act(pair.high, high)
  pair.act(pair.low, low)
  t.equal(pair.low.replaced.length, 1)
  t.equal(pair.high.replaced.length, 1)
  t.equal(pair.low.replaced[0]?.dh, pair.high.replaced[0]?.dh)
  t.equal(pair.low.rekey.epoch, 1)
  t.equal(pair.high.rekey.epoch, 1)
})

t.test('a lost offer or answer is made again', async (t) => {
  for (const lost of ['offer', 'answer'] as const) {
    const pair = new Pair()
    let left = 3
    pair.loses = (message) => message.do === lost && left-- > 0
    pair.until(125_000)
    t.equal(pair.low.rekey.epoch, 1, lost)
    t.equal(pair.high.rekey.epoch, 1, lost)
    t.equal(pair.high.replaced.at(-1)?.dh, pair.low.replaced[0]?.dh, lost)
    t.equal(pair.high.replaced.length, 1, 'the answer is the same, not a new one')
  }
})

t.test('without success for 5 min the keys have expired', async (t) => {
  const pair = new Pair()
  pair.loses = () => true
  pair.until(500_000)
  t.equal(pair.low.expiredAt, 420_000)
  t.equal(pair.high.expiredAt, 425_000)
})

t.test('over a path that does not answer nothing is tried, and nothing expires', async (t) => {
  const pair = new Pair()
  pair.isAlive = false
  pair.until(1_000_000)
  t.equal(pair.low.expiredAt, undefined)
  pair.isAlive = true
  pair.until(1_010_000)
  t.equal(pair.low.rekey.epoch, 1, 'it is made up for at once')
  t.equal(pair.high.rekey.epoch, 1)
})

t.test('what nobody honest sends is ignored', async (t) => {
  const { low, high } = new Pair()
  const zero = new Uint8Array(32)
  t.same(high.rekey.offered(1, zero), [], 'a point of small order')
  t.same(high.rekey.offered(1, new Uint8Array(5)), [], 'another length')
  t.same(high.rekey.offered(7, createKeyPair().publicKey), [], 'an epoch that is not the next')
  t.same(low.rekey.answered(1, createKeyPair().publicKey, 0, 0), [], 'an answer to no offer')
  high.rekey.confirmed(0, 0)
  t.equal(high.rekey.epoch, 0, 'a confirmation of nothing')
})

t.test('a second offer of the same epoch takes the place of the first', async (t) => {
  const pair = new Pair()
  const [first, second] = [createKeyPair(), createKeyPair()]
  const dh = (actions: RekeyAction[], own: KeyPair) =>
    actions.flatMap((a) => (a.do === 'answer' ? [Buffer.from(own.agree(a.publicKey)).toString('hex')] : []))
  const one = pair.high.rekey.offered(1, first.publicKey)
  const two = pair.high.rekey.offered(1, second.publicKey)
  t.not(dh(one, first)[0], dh(two, second)[0])
  pair.high.rekey.confirmed(0, 0)
  t.equal(pair.high.rekey.epoch, 1)
})
