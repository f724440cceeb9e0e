/** Names on a link in trouble: floods, contests without end, interruptions, and askers that know most of it. */
import t from 'tap'
import { a, answer, link, OTHER, OWN, PEER } from '../../../helpers/dns/virtual-link.ts'

t.test('bounds', (t) => {
  const { names, dropped, published, asks, time, after } = link()
  published('web.local')
  for (let i = 0; i < 10_000; i++) names.receive(Buffer.alloc(100), PEER)
  t.ok(dropped.filter((why) => why === 'flood').length > 7_000, 'a flood is dropped unread')
  time.run(10_000)
  asks({})
  t.equal(after(0).length, 1, 'and answers come again after it')
  dropped.length = 0
  for (let i = 0; i < 25; i++) asks({}, {}, { address: OTHER, port: 40_000 })
  t.same(dropped, Array(5).fill('flood'), 'unicast answers of one client')
  dropped.length = 0
  asks({}, {}, { address: '198.51.100.1', port: 40_000 })
  t.same(dropped, ['stranger'])
  names.receive(Buffer.alloc(3), PEER)
  t.same(dropped, ['stranger', 'malformed'])
  t.end()
})

t.test('a flood hides what another host says: probed for again', (t) => {
  const { after, dropped, names, phases, sent, time } = link()
  names.setNames(new Set(['web.local']))
  time.run(400)
  for (let i = 0; i < 30; i++) names.receive(Buffer.alloc(9_000), PEER)
  t.ok(dropped.includes('flood'))
  time.run(1_000)
  t.same(phases(), ['web.local probing'], 'one of the messages may have been an objection')
  t.notOk(
    sent.some(({ type }) => type === 'response'),
    'it is not announced',
  )
  t.equal(after(5_000).filter(({ type }) => type === 'query').length, 3)
  time.run(1_000)
  t.same(phases(), ['web.local published'], 'and published when the LAN is calm')
  for (let i = 0; i < 60; i++) names.receive(Buffer.alloc(9_000), PEER)
  t.same(phases(), ['web.local published'], 'what is published stays so')
  t.end()
})

t.test('own messages, which the kernel hands back', (t) => {
  const said: Buffer[] = []
  const { dropped, names, time } = link({ send: (bytes) => said.push(bytes) })
  names.setNames(new Set(Array.from({ length: 30 }, (_, i) => `container-${i}.local`)))
  time.run(150)
  const [own = Buffer.alloc(0)] = said
  t.ok(own.length > 1_144)
  // 1,144 bytes are left of those that may be read at once.
  for (let i = 0; i < 29; i++) names.receive(Buffer.alloc(9_000), PEER)
  names.receive(own, { address: OWN, port: 5353 })
  t.notOk(dropped.includes('flood'), 'are not charged')
  names.receive(own, { address: OWN, port: 5353 })
  t.ok(dropped.includes('flood'), 'what another program of this host repeats is')
  t.end()
})

t.test('names that another host claims again and again', (t) => {
  const { after, hear, names, published } = link()
  const many = Array.from({ length: 15 }, (_, i) => `web${i}.local`)
  published(...many)
  const probed = (ms: number): string[] =>
    after(ms).flatMap(({ type, questions = [] }) =>
      type === 'query' ? questions.map(({ name }) => name) : [],
    )
  for (const name of many) hear(answer(a(OTHER, { name })))
  t.same(new Set(probed(4_900)), new Set(many.slice(0, 14)), 'fourteen conflicts: probes follow at once')
  hear(answer(a(OTHER, { name: 'web0.local' })))
  t.same(probed(200), ['web14.local'], 'the fifteenth in ten seconds: after five')
  t.notOk(probed(4_700).includes('web0.local'), 'and so with each that follows')
  t.ok(probed(200).includes('web0.local'))
  after(20_000)
  t.ok(names.names.every(({ phase }) => phase === 'published'))
  hear(answer(a(OTHER, { name: 'web0.local' })))
  t.same(probed(100), ['web0.local'], 'on a calm LAN at once again')
  t.end()
})

t.test('an interrupted link: probes and announcements anew', (t) => {
  const { after, names, phases, published, sent } = link()
  published('web.local')
  names.restart()
  t.same(phases(), ['web.local probing'])
  const said = after(3_000)
  t.same(
    said.map(({ at, type }) => [at - (said[0]?.at ?? 0), type]),
    [
      [0, 'query'],
      [250, 'query'],
      [500, 'query'],
      [750, 'response'],
      [1_750, 'response'],
    ],
  )
  names.restart()
  sent.length = 0
  names.setNames(new Set())
  t.match(sent, [{ answers: [{ name: 'web.local', ttl: 0 }] }], 'caches know it still')
  t.end()
})

t.test('a list of known answers in several messages', (t) => {
  const { asks, after, hear, published } = link()
  published('web.local', 'db.local')
  const more = { flags: 0x0200 }
  asks({}, more)
  t.same(after(399), [], 'the list may go on for 400 ms')
  t.equal(after(200).length, 1)
  after(2_000)
  asks({}, more)
  hear({ type: 'query', answers: [a(OWN)] }, { ...PEER, address: '192.0.2.10' })
  t.equal(after(600).length, 1, 'what another host knows')
  after(2_000)
  asks({}, more)
  hear({ type: 'query', answers: [a(OWN, { name: 'db.local' }), a(OWN, { ttl: 10 })] })
  t.equal(after(600).length, 1, 'what it does not know, or not for long')
  after(2_000)
  asks({}, more)
  hear({ type: 'query', answers: [a(OWN)] })
  t.same(after(2_000), [], 'it knows the answer')
  asks({}, more)
  asks({}, {}, { ...PEER, address: '192.0.2.10' })
  hear({ type: 'query', answers: [a(OWN)] })
  t.equal(after(0).length, 1, 'another host waits for it, too')
  t.end()
})

t.test('only who wants a name itself is answered four times a second', (t) => {
  const { asks, after, published } = link()
  published('web.local')
  asks({})
  after(0)
  asks({}, { authorities: [a(OTHER, { name: 'other.local' })] })
  t.same(after(900), [], 'a probe for another name is a common question')
  t.equal(after(100).length, 1)
  t.end()
})
