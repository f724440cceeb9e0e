/** Names on one link, in virtual time: probes, announcements, answers, conflicts and farewells. */
import type { Packet } from 'dns-packet'
import t from 'tap'
import { a, answer, link, OTHER, OWN } from '../../../helpers/dns/virtual-link.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

t.test('three probes, then two announcements', (t) => {
  const { names, sent, time, phases } = link()
  names.setNames(new Set(['web.local', 'db.local']))
  time.run(10_000)
  t.same(
    sent.map(({ at, type }) => [at, type]),
    [
      [100, 'query'],
      [350, 'query'],
      [600, 'query'],
      [850, 'response'],
      [1_850, 'response'],
    ],
  )
  t.match(sent[0], {
    questions: [
      { name: 'web.local', type: 'ANY' },
      { name: 'db.local', type: 'ANY' },
    ],
    authorities: [{ name: 'web.local', type: 'A', data: OWN, flush: false }, { name: 'db.local' }],
  })
  t.match(sent[3], { flag_aa: true, answers: [{ name: 'web.local', ttl: 120, flush: true, data: OWN }, {}] })
  t.same(phases(), ['web.local published', 'db.local published'])
  t.end()
})

t.test('answers', (t) => {
  const { asks, after, published, hear } = link()
  published('web.local', 'db.local')
  asks({ name: 'WEB.local' })
  t.match(after(0), [{ type: 'response', answers: [{ data: OWN }], additionals: [{ type: 'NSEC' }] }])
  asks({})
  t.same(after(900), [], 'once a second at most')
  t.equal(after(200).length, 1, 'the question has not been lost')
  asks({}, { authorities: [a(OTHER)] })
  t.same(after(100), [], 'a name is defended four times a second at most')
  t.equal(after(100).length, 1)
  after(2_000)
  asks({ type: 'AAAA' })
  const [negative] = after(0)
  t.match(
    negative,
    { answers: [{ type: 'NSEC', data: { rrtypes: ['A'] } }], additionals: [{ type: 'A', data: OWN }] },
    'no AAAA: a browser need not wait for it',
  )
  t.equal(negative?.answers?.length, 1)
  after(2_000)
  asks({ type: 'ANY' })
  asks({ name: 'db.local', class: 'ANY' })
  t.same(
    after(0).flatMap(({ answers = [] }) => answers.map(({ name }) => name)),
    ['web.local', 'db.local'],
    'in one message',
  )
  asks({ name: 'other.local' })
  asks({ class: 'CH' })
  t.same(after(5_000), [], 'what is not ours')
  asks({}, { answers: [a(OWN, { ttl: 60 })] })
  t.same(after(5_000), [], 'the asking host knows the answer, and keeps it long enough')
  asks({}, { answers: [a(OWN, { ttl: 59 })] })
  t.equal(after(0).length, 1, 'it knows the answer, but not for long')
  after(2_000)
  asks({}, { answers: [a(OTHER)] })
  t.equal(after(0).length, 1, 'it knows another answer')
  hear({ type: 'query', questions: [] })
  t.same(after(5_000), [])
  t.end()
})

t.test('conventional DNS from a port of its own', (t) => {
  const { asks, after, dropped, names, published, sent } = link()
  const from = { address: OTHER, port: 40_000 }
  names.setNames(new Set(['web.local']))
  asks({}, { id: 7 }, from)
  t.same(after(0), [], 'not before it is ours')
  published('web.local')
  asks({ name: 'Web.local' }, { id: 7 }, from)
  t.match(sent, [
    { id: 7, to: `${OTHER}:40000`, questions: [{ name: 'Web.local', type: 'A' }], answers: [{ data: OWN }] },
  ])
  t.match(sent[0]?.answers, [{ name: 'Web.local', ttl: 10, flush: false }], 'briefly, as no news reaches it')
  asks({ type: 'AAAA' }, { id: 8 }, from)
  t.match(sent[1], { id: 8, rcode: 'NOERROR', answers: [] })
  asks({ name: 'other.local' }, { id: 9 }, from)
  t.equal(sent.length, 2)
  t.same(dropped, [])
  t.end()
})

t.test('conflicts while probing', (t) => {
  const cases: readonly (readonly [string, Packet, string])[] = [
    ['another host has it', answer(a(OTHER)), 'taken'],
    [
      'another host has it, with another type',
      answer({ type: 'AAAA', name: 'web.local', ttl: 1, data: '::1' }),
      'taken',
    ],
    [
      'in another case, in the additional section',
      { type: 'response', additionals: [a(OTHER, { name: 'WEB.local' })] },
      'taken',
    ],
    ['our own answer, heard on another link', answer(a(OWN)), 'published'],
    ['a farewell', answer(a(OTHER, { ttl: 0 })), 'published'],
    ['another name', answer(a(OTHER, { name: 'web2.local' })), 'published'],
  ]
  for (const [what, packet, phase] of cases) {
    const { names, time, hear, phases, taken } = link()
    names.setNames(new Set(['web.local']))
    time.run(400)
    hear(packet)
    time.run(3_000)
    t.same(phases(), [`web.local ${phase}`], what)
    t.same(taken, phase === 'taken' ? [`web.local ${OTHER}`] : [], `${what}: told`)
  }
  t.end()
})

t.test('a name that is taken is tried again', (t) => {
  const { names, time, hear, phases, sent, after } = link()
  names.setNames(new Set(['web.local']))
  time.run(400)
  hear(answer(a(OTHER)))
  t.same(after(59_000), [], 'silence for a minute')
  time.run(5_000)
  t.same(phases(), ['web.local published'])
  t.ok(
    sent.some(({ type }) => type === 'query'),
    'it was probed for',
  )
  t.end()
})

t.test('the other host takes its name back: ours soon', (t) => {
  const { names, time, hear, phases } = link()
  names.setNames(new Set(['web.local']))
  time.run(400)
  hear(answer(a(OTHER)))
  time.run(400)
  hear(answer(a(OTHER, { ttl: 0 })))
  time.run(3_000)
  t.same(phases(), ['web.local published'])
  t.end()
})

t.test('conflicts once it is published', (t) => {
  const { hear, phases, published, after, time } = link()
  published('web.local')
  hear(answer({ type: 'AAAA', name: 'web.local', ttl: 120, data: '::1' }))
  t.same(phases(), ['web.local published'], 'another type is none')
  hear(answer(a(OTHER)))
  t.same(phases(), ['web.local probing'])
  time.run(3_000)
  t.same(phases(), ['web.local published'], 'the other host did not insist')
  hear(answer(a(OTHER)))
  time.run(100)
  hear(answer(a(OTHER)))
  t.same(phases(), ['web.local taken'], 'it did')
  t.same(after(10_000), [])
  t.end()
})

t.test('two hosts probe at once: one of them has it, and says so', (t) => {
  const time = new SimTime()
  const hosts = [OWN, OTHER].map((address, i) => {
    const deps = { address, send: (bytes: Buffer) => deliver(address, bytes), random: () => i / 4 }
    return { address, ...link(deps, time) }
  })
  const deliver = (from: string, bytes: Buffer): void => {
    // To the sender, too, as the kernel does.
    for (const { names } of hosts) names.receive(bytes, { address: from, port: 5353 })
  }
  for (const { names } of hosts) names.setNames(new Set(['web.local']))
  time.run(10_000)
  t.same(
    hosts.map(({ phases }) => phases()[0]),
    ['web.local taken', 'web.local published'],
    'the larger address wins',
  )
  t.end()
})

t.test('a host that wins each tie and never publishes', (t) => {
  const { names, hear, time, taken, phases } = link()
  names.setNames(new Set(['web.local']))
  for (let i = 0; i < 3; i++) {
    hear({ type: 'query', questions: [{ type: 'ANY' as never, name: 'web.local' }], authorities: [a(OTHER)] })
    time.run(500)
  }
  t.same(phases(), ['web.local taken'])
  t.same(taken, [`web.local ${OTHER}`])
  t.end()
})

t.test('farewells', (t) => {
  const { names, sent, published, after, time } = link()
  published('web.local', 'db.local')
  names.setNames(new Set(['db.local']))
  t.match(sent, [{ type: 'response', answers: [{ name: 'web.local', ttl: 0, data: OWN }] }])
  t.equal(sent[0]?.answers?.length, 1)
  sent.length = 0
  names.setNames(new Set(['db.local', 'new.local']))
  time.run(300)
  sent.length = 0
  names.setNames(new Set())
  t.same(
    sent.flatMap(({ answers = [] }) => answers.map(({ name }) => name)),
    ['db.local'],
    'no host has heard of a name that is probed for',
  )
  t.same(after(600_000), [], 'silence')
  t.end()
})
