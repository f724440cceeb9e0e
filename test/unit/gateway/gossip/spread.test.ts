/** gateway/gossip: messages reach hosts that no path leads to, once, over members that meet one after the other. */
import t from 'tap'
import { LIFE_MS, MAX_PLAIN_BYTES } from '../../../../gateway/gossip/envelope.ts'
import { GossipWorld } from '../../../helpers/gateway/gossip-world.ts'

const MINUTE = 60_000

t.test('64 KiB over three hops, each met after the last one is gone', (t) => {
  const world = new GossipWorld(4, [])
  const text = 'x'.repeat(MAX_PLAIN_BYTES)
  t.equal(world.host(1).say(4, text), undefined)
  const meetings: (readonly [number, number])[] = [
    [1, 2],
    [2, 3],
    [3, 4],
  ]
  for (const pair of meetings) {
    t.same(world.host(4).got, [])
    world.connect([pair])
    world.time.run(MINUTE)
  }
  const [message, ...more] = world.host(4).got
  t.match(message, { from: 1, text })
  t.same(more, [])
  t.ok(
    world.time.now - (message?.at ?? 0) > 45_000,
    'within 15 s of the last meeting, of which 5 s are for the link',
  )
  t.equal(world.host(3).store.size, 0, 'and its carrier has let go of it')
  t.end()
})

t.test('every host in a ring of links gets each message once, whatever is lost', (t) => {
  const ring = Array.from({ length: 6 }, (_, i) => [i + 1, ((i + 1) % 6) + 1] as const)
  const world = new GossipWorld(6, ring, 7)
  for (let i = 0; i < 20; i++) {
    t.equal(world.host(1).say(4, `m${i}`), undefined)
    world.time.run(50)
    if (i % 5 === 2) world.net.reset(world.host(2), world.host(3))
  }
  world.time.run(11 * MINUTE)
  t.same(
    world
      .host(4)
      .got.map(({ text }) => text)
      .sort(),
    Array.from({ length: 20 }, (_, i) => `m${i}`).sort(),
  )
  t.same(world.host(2).got, [])
  t.end()
})

t.test('straight where a link stands: no other host is troubled', (t) => {
  const all = [
    [1, 2],
    [1, 3],
    [1, 4],
    [2, 3],
    [2, 4],
    [3, 4],
  ] as const
  const world = new GossipWorld(4, all)
  world.host(1).say(2, 'hello')
  world.time.run(1_000)
  t.match(world.host(2).got, [{ from: 1, text: 'hello' }])
  t.same(
    [3, 4].map((id) => world.host(id).disk.files.size),
    [0, 0],
  )
  t.end()
})

t.test('not over more than five links', (t) => {
  const chain = [
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 5],
    [5, 6],
    [6, 7],
  ] as const
  const world = new GossipWorld(7, chain)
  world.host(1).say(6, 'five')
  world.host(1).say(7, 'six')
  world.time.run(11 * MINUTE)
  t.match(world.host(6).got, [{ text: 'five' }])
  t.same(world.host(7).got, [])
  t.end()
})

t.test('a carrier that crashes still has it; the receiver that crashes does not get it again', (t) => {
  const world = new GossipWorld(3, [[1, 2]])
  world.host(1).say(3, 'once')
  world.time.run(1_000)
  const crash = (hostId: number): void => {
    world.host(hostId).spread.stop()
    world.net.remove(world.host(hostId))
    world.host(hostId).start()
    world.net.add(world.host(hostId))
  }
  world.connect([])
  crash(2)
  world.connect([[2, 3]])
  world.time.run(MINUTE)
  t.match(world.host(3).got, [{ text: 'once' }])
  crash(3)
  world.connect([
    [1, 3],
    [2, 3],
  ])
  world.time.run(11 * MINUTE)
  t.equal(world.host(3).got.length, 1)
  t.end()
})

t.test('it goes on over more links when it comes again over fewer', (t) => {
  const chain = [
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 5],
    [5, 6],
  ] as const
  const world = new GossipWorld(7, chain)
  world.host(1).say(7, 'words')
  world.time.run(MINUTE)
  const number = world.host(6).store.highest(1)
  t.equal(world.host(6).store.get(1, number)?.hops, 5)
  world.connect([[6, 7]])
  world.time.run(MINUTE)
  t.same(world.host(7).got, [], 'not after five')
  world.connect([
    [1, 6],
    [6, 7],
  ])
  world.time.run(MINUTE)
  const { envelope } = world.host(1).store.get(1, number)!
  world.host(6).receive(1, { type: 'gossip.message', hops: 1, envelope })
  world.time.run(MINUTE)
  t.match(world.host(7).got, [{ text: 'words' }])
  t.end()
})

t.test('a clock that jumps by a day and back takes nothing a second time', (t) => {
  const world = new GossipWorld(2, [[1, 2]])
  const [one, two] = [world.host(1), world.host(2)]
  const envelope = one.write(2, 'once')
  one.spread.post(envelope)
  world.time.run(MINUTE)
  t.equal(two.got.length, 1)
  two.clockAhead = 2 * LIFE_MS
  world.time.run(2 * MINUTE)
  two.clockAhead = 0
  const again = (): void => two.receive(1, { type: 'gossip.message', hops: 1, envelope })
  again()
  two.spread.stop()
  world.net.remove(two)
  two.start()
  world.net.add(two)
  again()
  t.equal(two.got.length, 1, 'nor after a restart')
  one.say(2, 'later')
  world.time.run(MINUTE)
  t.match(two.got, [{ text: 'once' }, { text: 'later' }])
  t.end()
})

t.test('a message that lives longer than a later one arrives after that one is forgotten', (t) => {
  const world = new GossipWorld(3, [[1, 2]])
  const [one, three] = [world.host(1), world.host(3)]
  const answer = one.write(3, 'answer', { kind: 'answer', re: 1 })
  const brief = one.write(2, 'passing by', { lifeMs: MINUTE })
  three.receive(2, { type: 'gossip.message', hops: 1, envelope: brief })
  t.equal(three.store.size, 1)
  world.time.run(3 * MINUTE)
  t.equal(three.store.size, 0, 'the later one is forgotten')
  three.receive(2, { type: 'gossip.message', hops: 2, envelope: answer })
  t.match(three.got, [{ text: 'answer' }])
  t.end()
})

t.test('a host whose clock was ahead is heard again once it is right', (t) => {
  const world = new GossipWorld(2, [[1, 2]])
  const [one, two] = [world.host(1), world.host(2)]
  one.clockAhead = 60 * MINUTE
  one.say(2, 'ahead')
  world.time.run(1_000)
  t.same(two.got, [])
  t.ok(two.refused.includes('from the future'))
  one.clockAhead = 0
  one.say(2, 'right')
  world.time.run(1_000)
  t.match(two.got, [{ text: 'right' }])
  t.end()
})

t.test('it expires after a day, and leaves one number', (t) => {
  const world = new GossipWorld(3, [[1, 2]])
  world.host(1).say(3, 'too late')
  world.time.run(LIFE_MS + 2 * MINUTE)
  t.same(
    [1, 2].map((id) => [...world.host(id).disk.files.keys()]),
    [['1-0'], ['1-0']],
  )
  world.connect([[2, 3]])
  world.time.run(MINUTE)
  t.same(world.host(3).got, [])
  t.end()
})

t.test('an answer tells carriers that its request arrived', (t) => {
  const world = new GossipWorld(3, [[1, 2]])
  const request = world.host(1).write(3, 'question')
  world.host(1).spread.post(request)
  world.time.run(1_000)
  t.equal(world.host(2).store.size, 1)
  const forged = world.host(2).write(1, 'answer', { kind: 'answer', re: request.seq })
  world.host(2).spread.post(forged)
  world.time.run(1_000)
  t.ok(world.host(1).store.get(1, request.seq), 'not one of another host')
  world.connect([[2, 3]])
  world.time.run(MINUTE)
  world.connect([[1, 3]])
  world.host(3).spread.post(world.host(3).write(1, 'answer', { kind: 'answer', re: request.seq }))
  world.time.run(MINUTE)
  t.equal(world.host(1).store.get(1, request.seq), undefined)
  t.end()
})

t.test(
  'what is forged, replayed, flooded or nonsense is refused and counted, and nothing else suffers',
  (t) => {
    const world = new GossipWorld(3, [
      [1, 2],
      [2, 3],
    ])
    const [one, two] = [world.host(1), world.host(2)]
    const good = one.write(2, 'words')
    const send = (envelope: object, hops: unknown = 1): void =>
      two.receive(1, { type: 'gossip.message', hops, envelope })
    send({ ...good, to: 3 })
    send({ ...good, re: 7 })
    send({ ...good, expires: good.expires - 1 })
    t.same(two.refused.splice(0), ['forged', 'forged', 'forged'])
    send({ ...good, from: 9 })
    send({ ...good, spki: world.host(3).me.spki.toString('base64') })
    t.same(two.refused.splice(0), ['stranger', 'stranger'])
    send({ ...good, at: good.at + 6 * MINUTE, expires: good.expires + 6 * MINUTE })
    send({ ...good, expires: good.expires + 1 })
    send({ ...good, expires: good.at - 60_000 })
    t.same(two.refused.splice(0), ['from the future', 'from the future', 'expired'])
    for (const nonsense of [
      {},
      { ...good, box: 7 },
      { ...good, box: 'x'.repeat(200_000) },
      { ...good, seq: 1.5 },
    ])
      send(nonsense)
    for (const hops of [0, 6, 1.5, '1', null]) send(good, hops)
    two.receive(1, { type: 'gossip.letter' })
    t.same(
      two.refused.splice(0),
      Array.from({ length: 10 }, () => 'malformed'),
    )
    t.same(two.got, [])
    send({ ...world.host(3).write(1, 'by the way'), junk: 'x'.repeat(100_000) })
    t.notOk(JSON.stringify([...two.disk.files]).includes('junk'), 'what no signature covers is not kept')
    send(good)
    send(good)
    t.match(two.got, [{ text: 'words' }])
    t.equal(two.got.length, 1, 'a replay is nothing new')
    for (let i = 0; i < 300; i++) send({ ...good, seq: good.seq + 1 + i })
    t.ok(two.refused.splice(0).includes('too many'))
    world.time.run(1_000)
    t.equal(one.say(2, 'later'), undefined)
    // Its place was taken by the flood, so the next comparison brings it.
    world.time.run(11 * MINUTE)
    t.match(two.got.at(-1), { text: 'later' })
    t.end()
  },
)

t.test('one host fills its own place only', (t) => {
  const world = new GossipWorld(4, [
    [1, 2],
    [3, 2],
  ])
  let accepted = 0
  for (let i = 0; i < 100; i++) {
    if (world.host(1).say(4, `m${i}`) === undefined) accepted++
    world.time.run(200)
  }
  t.equal(accepted, 64)
  t.match(world.host(1).say(4, 'one more'), /64 messages of host 1 wait/)
  t.equal(world.host(3).say(4, 'another host'), undefined)
  world.time.run(1_000)
  world.connect([[2, 4]])
  world.time.run(MINUTE)
  t.equal(world.host(4).got.length, 65)
  t.ok(world.host(4).got.some(({ text }) => text === 'another host'))
  t.end()
})

t.test('digests of a member that are no digests, and too many of them', (t) => {
  const world = new GossipWorld(2, [[1, 2]])
  const two = world.host(2)
  for (const held of [undefined, [], { 1: 'x' }, { 1: [0.5] }, { 1: Array(70_000).fill(1) }])
    two.receive(1, { type: 'gossip.digest', held })
  t.same(two.refused.splice(0).filter((r) => r === 'malformed').length, 5)
  for (let i = 0; i < 20; i++) two.receive(1, { type: 'gossip.digest', held: {} })
  t.ok(two.refused.includes('too many'))
  t.end()
})
