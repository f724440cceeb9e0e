/** gateway/dataplane/p2p/letters: letters over members; what is forged, old, sent again or too much goes nowhere. */
import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { type Letter, writeLetter } from '../../../../../../gateway/dataplane/p2p/letters/letter.ts'
import { LetterSimulation } from '../../../../../helpers/gateway/letter-simulation.ts'

const CHAIN = [
  [1, 2],
  [2, 3],
  [3, 4],
] as const
const OFFER = { type: 'p2p.offer', attempt: '0123456789abcdef', generation: 2, candidates: [], version: 1 }
const ANSWER = { type: 'p2p.answer', attempt: OFFER.attempt, candidates: [] }
const CONTEXT = Buffer.from('1|4')

/** A chain whose ends found each other. */
function chain(part?: ConstructorParameters<typeof LetterSimulation>[2]): LetterSimulation {
  const world = new LetterSimulation(4, CHAIN, part)
  world.time.run(1_500)
  return world
}

t.test('the ends of a chain of four find each other, and know how long a letter takes', async (t) => {
  const world = new LetterSimulation(4, CHAIN)
  const [one, four] = [world.host(1), world.host(4)]
  const ms = world.time.runUntil(() => one.memberSignalling.has(4) && four.memberSignalling.has(1), 5_000)
  t.ok(ms !== undefined && ms < 1_200, `${ms} ms`)
  world.time.run(200)
  t.same(
    one.told.filter((what) => what.endsWith(' 4')),
    ['up 4'],
  )
  one.memberSignalling.send(4, { type: 'p2p.state', generation: 0, isPromoted: false })
  world.time.run(100)
  t.match(four.got, [{ type: 'p2p.state', generation: 0 }])
  four.memberSignalling.send(1, { type: 'p2p.state', generation: 0, isPromoted: false })
  world.time.run(100)
  t.ok(
    Math.abs((one.memberSignalling.rttMs(4) ?? 0) - 30) <= 1,
    `${one.memberSignalling.rttMs(4)} ms over six links`,
  )
  t.equal(one.memberSignalling.peerValidTo(4), 1_795_001_000_004)
  t.ok(world.host(2).count('passed') > 0 && world.host(3).count('passed') > 0)
  t.equal(world.host(2).got.length + world.host(3).got.length, 0)
})

t.test('offer and answer give both ends the same keys, which no carrier can make', async (t) => {
  const world = chain()
  const [one, four] = [world.host(1), world.host(4)]
  const keyOf = (host: typeof one, of: number): string | undefined =>
    host.memberSignalling.exportKey(of, 64, 'label', CONTEXT)?.toString('hex')
  one.memberSignalling.send(4, OFFER)
  world.time.run(50)
  t.match(four.got.at(-1), { type: 'p2p.offer', key: /^[\w+/]{43}=$/ })
  four.memberSignalling.send(1, ANSWER)
  world.time.run(50)
  t.match(one.got.at(-1), { type: 'p2p.answer' })
  t.equal(keyOf(one, 4)?.length, 128)
  t.equal(keyOf(one, 4), keyOf(four, 1))
  for (const { box } of world.host(2).letters) t.notMatch(Buffer.from(box, 'base64').toString(), /attempt/)
})

t.test('a member’s nonsense leaves the keys as they are', async (t) => {
  const world = chain()
  const [one, four] = [world.host(1), world.host(4)]
  one.memberSignalling.send(4, OFFER)
  world.time.run(50)
  const before = four.memberSignalling.exportKey(1, 64, 'label', CONTEXT)
  for (const attempt of ['x'.repeat(2_000), 7, undefined]) one.memberSignalling.send(4, { ...OFFER, attempt })
  world.time.run(50)
  t.equal(four.got.length, 4, 'they are judged with all others')
  one.memberSignalling.send(4, { ...OFFER, type: 'p2p.answer' })
  world.time.run(50)
  t.equal(four.refused('no key'), 1)
  t.ok(before?.equals(four.memberSignalling.exportKey(1, 64, 'label', CONTEXT) ?? Buffer.alloc(0)))
})

t.test('four links are too many', async (t) => {
  const world = new LetterSimulation(5, [...CHAIN, [4, 5]])
  world.time.run(20_000)
  t.notOk(world.host(1).memberSignalling.has(5))
  t.ok(world.host(1).memberSignalling.has(4))
  t.ok(world.host(3).refused('no way') > 0)
})

t.test('one that comes again, by itself or the other way round, is read once', async (t) => {
  const world = chain()
  const [four, three] = [world.host(4), world.host(3)]
  world.host(1).memberSignalling.send(4, OFFER)
  world.time.run(50)
  t.equal(four.got.length, 1)
  const letter = four.letters.at(-1)
  for (let i = 0; i < 10; i++) world.hand(3, 4, letter, 3)
  world.hand(2, 3, letter, 2)
  world.time.run(50)
  t.equal(four.got.length, 1)
  t.equal(four.refused('known'), 10)
  t.ok(three.refused('known') >= 1)
})

t.test('a carrier keeps an offer and sends it when its try has long ended: late', async (t) => {
  const kept: unknown[] = []
  let isKeeping = false
  const world: LetterSimulation = new LetterSimulation(4, CHAIN, (hostId) =>
    hostId === 3
      ? {
          send(to, message) {
            if (!isKeeping) return world.send(3, to, message)
            return kept.push(message['letter']) > 0
          },
        }
      : {},
  )
  world.time.run(1_500)
  const [one, four] = [world.host(1), world.host(4)]
  isKeeping = true
  one.memberSignalling.send(4, OFFER)
  world.time.run(50)
  isKeeping = false
  world.time.run(15_000)
  t.equal(kept.length, 1)
  world.hand(3, 4, kept[0], 3)
  t.equal(four.refused('late'), 1)
  t.same(four.got, [])
  one.memberSignalling.send(4, OFFER)
  world.time.run(50)
  t.match(four.got, [OFFER], 'one of now is read')
})

t.test(
  'to a gateway that was started anew, letters of before are late, and newer ones are read',
  async (t) => {
    const world = chain()
    const [one, four] = [world.host(1), world.host(4)]
    one.memberSignalling.send(4, OFFER)
    world.time.run(50)
    const old = four.letters.at(-1)
    const [again] = [four.restart()]
    world.time.run(1_000)
    t.ok(again.memberSignalling.has(1), 'it called')
    world.hand(3, 4, old, 3)
    t.equal(again.refused('late'), 1)
    t.same(again.got, [])
    one.memberSignalling.send(4, OFFER)
    world.time.run(50)
    t.match(again.got, [OFFER])
  },
)

t.test(
  'the clock of one was put back at its start: letters are read after a minute at the latest',
  async (t) => {
    const world = chain()
    const four = world.host(4)
    four.clockAhead = -120_000
    const again = four.restart()
    world.time.run(95_000)
    world.host(1).memberSignalling.send(4, OFFER)
    world.time.run(50)
    t.match(again.got.at(-1), OFFER)
  },
)

t.test('the end of a certificate that is no time is not taken', async (t) => {
  const world = new LetterSimulation(4, CHAIN, (hostId) => (hostId === 1 ? { validTo: () => -1 } : {}))
  world.time.run(3_000)
  const [one, four] = [world.host(1), world.host(4)]
  t.ok(four.memberSignalling.has(1))
  t.equal(four.memberSignalling.peerValidTo(1), undefined)
  t.equal(one.memberSignalling.peerValidTo(4), 1_795_000_000_000 + 1_000_000 + 4)
})

t.test('what is changed, signed by another, old or of a stranger is refused, and counted', async (t) => {
  const world = chain()
  const [one, two, four] = [world.host(1), world.host(2), world.host(4)]
  const now = 1_795_000_000_000 + world.time.now
  const write = (host: typeof one, at: number, seq: number, toSpki = four.me.spki): Letter => {
    const place = { to: 4, toSpki, seq, at }
    const follows = { seq: host.letters.findLast(({ from }) => from === 4)?.seq, afterMs: 0 }
    const letter = writeLetter(host.me.identity, place, { message: { type: 'p2p.state' }, follows })
    if (letter === undefined) throw new Error('it was not sealed')
    return letter
  }
  const good = write(one, now, now + 50)
  const table = {
    forged: [
      { ...good, box: `${good.box[0] === 'A' ? 'B' : 'A'}${good.box.slice(1)}` },
      { ...good, seq: good.seq + 1 },
      { ...good, from: 3 },
      { ...write(two, now, now + 51), from: 1 },
    ],
    expired: [write(one, now - 320_000, now - 320_000)],
    'from the future': [write(one, now + 310_000, now + 60)],
    stranger: [{ ...good, from: 99 }],
    malformed: [{ ...good, seq: 'x' }, { ...good, box: 'x'.repeat(7_000) }, undefined],
  }
  for (const [reason, letters] of Object.entries(table)) {
    for (const letter of letters) world.hand(1, 2, letter)
    t.equal(two.refused(reason), letters.length, reason)
  }
  world.hand(1, 2, good, 4)
  t.equal(two.refused('malformed'), table.malformed.length + 1, 'too many links')
  world.time.run(100)
  t.equal(four.got.length, 0)
  world.hand(3, 4, write(one, now, now + 70, two.me.spki), 3)
  t.equal(four.refused('not opened'), 1)
  world.hand(1, 2, { ...good, junk: 'x'.repeat(100_000) })
  world.time.run(100)
  t.equal(four.got.length, 1, 'and the good one arrives')
  t.same(four.letters.at(-1), good, 'without what no signature covers')
})

t.test('a host that floods has its share, and others’ letters go on', async (t) => {
  const world = new LetterSimulation(5, [...CHAIN, [5, 2]])
  world.time.run(1_500)
  const [one, two, four] = [world.host(1), world.host(2), world.host(4)]
  const passed = two.count('passed')
  const now = 1_795_000_000_000 + world.time.now
  for (let i = 1; i <= 150; i++)
    world.hand(1, 2, writeLetter(one.me.identity, { to: 4, toSpki: four.me.spki, seq: now + i, at: now }, {}))
  t.ok(two.count('passed') - passed <= 64, `${two.count('passed') - passed} passed`)
  t.ok(two.refused('too many') >= 86)
  world.host(5).memberSignalling.send(4, { type: 'p2p.state' })
  world.time.run(100)
  t.ok(four.got.some(({ type }) => type === 'p2p.state'))
})

t.test('without punch a host neither calls, nor carries, nor listens', async (t) => {
  const world = chain((hostId) => ({ enabled: hostId !== 3 }))
  world.time.run(10_000)
  t.notOk(world.host(1).memberSignalling.has(4))
  t.ok(world.host(3).refused('switched off') > 0)
  t.equal(world.host(3).count('sent') + world.host(3).count('passed'), 0)
})

t.test('a link ends it; a host that is gone is given up', async (t) => {
  const world = chain()
  const one = world.host(1)
  t.ok(one.memberSignalling.has(4))
  world.connect([...CHAIN, [1, 4]])
  world.time.run(16_000)
  t.notOk(one.memberSignalling.has(4))
  t.same(
    one.told.filter((what) => what.endsWith(' 4')),
    ['up 4', 'down 4'],
  )
  world.connect(CHAIN)
  world.time.run(2_000)
  t.ok(one.memberSignalling.has(4))
  world.connect([[1, 2]])
  world.time.run(110_000)
  t.notOk(one.memberSignalling.has(4))
})

t.test('ten hosts in a ring, all of it within three links is found, and no letter goes round', async (t) => {
  const ring = Array.from({ length: 10 }, (_, i) => [i + 1, ((i + 1) % 10) + 1] as const)
  const world = new LetterSimulation(10, ring)
  world.time.run(5_000)
  for (const distance of [2, 3]) t.ok(world.host(1).memberSignalling.has(1 + distance), `${distance} links`)
  t.notOk(world.host(1).memberSignalling.has(5))
  const letters = [...world.hosts.values()].reduce((sum, host) => sum + host.letters.length, 0)
  t.ok(letters < 10 * 9 * 6 * 3, `${letters} letters went over links in 5 s`)
  t.comment(letters)
})

t.test('a host that meets many calls no more of them than leave room for a try', async (t) => {
  const world = new LetterSimulation(70, [[1, 2]], (hostId) => ({ usesUdp: hostId === 1 }))
  world.time.run(900)
  t.ok(world.host(1).count('sent') <= 64 - 23, `${world.host(1).count('sent')} letters at once`)
  world.time.run(10_000)
  t.ok(world.host(1).count('sent') >= 68, 'all of them in the end')
  t.equal(world.host(1).refused('too many'), 0)
})

t.test('a host that uses no UDP carries for others, and is not called for', async (t) => {
  const world = chain((hostId) => ({ usesUdp: hostId !== 2 && hostId !== 4 }))
  world.time.run(10_000)
  t.notOk(world.host(1).memberSignalling.has(4))
  t.ok(world.host(2).count('passed') > 0)
  t.equal(world.host(4).count('sent'), 0)
  const other = chain((hostId) => ({ usesUdp: hostId !== 2 }))
  t.ok(other.host(1).memberSignalling.has(4))
})

t.test('a member that announces a key of another kind gets no letters, and ends nothing', async (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  const spki = rsa.publicKey.export({ type: 'spki', format: 'der' })
  const zeros = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.alloc(32, 0)])
  for (const key of [spki, zeros, Buffer.alloc(0)]) {
    const world = new LetterSimulation(4, CHAIN, (hostId) =>
      hostId === 1 ? { spkiOf: (id) => (id === 4 ? key : undefined) } : {},
    )
    world.time.run(2_000)
    world.host(1).memberSignalling.send(4, OFFER)
    t.equal(world.host(1).count('sent'), 0)
    t.notOk(world.host(1).memberSignalling.has(4))
  }
})

t.test('the link in the middle heals: the ends find each other within 5 s, not after 300', async (t) => {
  const world = chain()
  const [one, four] = [world.host(1), world.host(4)]
  const outer = [CHAIN[0], CHAIN[2]]
  world.relink(outer)
  world.time.run(1_000_000)
  t.notOk(one.memberSignalling.has(4))
  const letters = [...world.hosts.values()].reduce((sum, host) => sum + host.letters.length, 0)
  world.relink(CHAIN)
  const ms = world.time.runUntil(() => one.memberSignalling.has(4) && four.memberSignalling.has(1), 400_000)
  t.ok(ms !== undefined && ms < 5_000, `${ms} ms`)
  world.time.run(5_000)
  const more = [...world.hosts.values()].reduce((sum, host) => sum + host.letters.length, 0) - letters
  t.comment(`${ms} ms, ${more} letters in 10 s`)
  t.ok(more <= 60, `${more} letters`)
})

t.test('an older member in the way gets no letters, and neither do its offers suffer', async (t) => {
  const world = new LetterSimulation(5, [...CHAIN, [1, 5], [5, 4]], () => ({
    takesLetters: (id) => id !== 5,
  }))
  world.time.run(3_000)
  t.ok(world.host(1).memberSignalling.has(4), 'letters go by the members that take them')
  world.host(1).memberSignalling.send(4, OFFER)
  world.time.run(100)
  t.match(world.host(4).got.at(-1), { type: 'p2p.offer' })
  t.equal(world.host(5).letters.length, 0)
  const alone = new LetterSimulation(
    3,
    [
      [1, 3],
      [3, 2],
    ],
    () => ({ takesLetters: (id) => id !== 3 }),
  )
  alone.time.run(20_000)
  t.equal(alone.host(3).letters.length, 0)
  t.equal(alone.host(1).counts.length, 0, 'without one there are no calls, and none is refused')
})
