/** gateway/dataplane/p2p/candidates: which addresses a host offers, in which order, and which of a peer's it tries. */
import t from 'tap'
import {
  interleaved,
  ObservedAddresses,
  ownCandidates,
  peerCandidates,
} from '../../../../../gateway/dataplane/p2p/candidates.ts'

const overlay = { base: 0x0a640000, prefixLen: 16 }
const NOTHING = { port: 7, linkedFrom: undefined, announced: [], hosts: [], observed: [], mapped: [] }

t.test(
  'own: where the link comes from, what is announced, what peers see; each once, 16 at most',
  async (t) => {
    const own = ownCandidates({
      port: 7000,
      linkedFrom: '::ffff:192.0.2.1',
      announced: ['192.0.2.1:7443', 'name.example:7443', '[2001:db8::1]:7443'],
      hosts: [],
      mapped: [],
      observed: ['203.0.113.1:1', '203.0.113.2:2', '203.0.113.3:3', '203.0.113.4:4', '203.0.113.5:5'],
    })
    t.same(own, [
      '192.0.2.1:7000',
      '[2001:db8::1]:7000',
      '203.0.113.2:2',
      '203.0.113.3:3',
      '203.0.113.4:4',
      '203.0.113.5:5',
    ])
    const many = Array.from({ length: 30 }, (_, i) => `192.0.2.${i + 1}:7443`)
    t.equal(ownCandidates({ ...NOTHING, announced: many }).length, 16)
  },
)

t.test('of the peer: what it says, and where its link comes from with the port that it says', async (t) => {
  t.same(peerCandidates(['10.0.0.1:7000'], '::ffff:203.0.113.1', overlay), [
    '10.0.0.1:7000',
    '203.0.113.1:7000',
  ])
  t.same(peerCandidates(['10.0.0.1:7000'], '10.0.0.1', overlay), ['10.0.0.1:7000'])
  t.same(peerCandidates([], '10.0.0.1', overlay), [], 'no port is known')
  t.same(peerCandidates(['10.0.0.1:7000'], undefined, overlay), ['10.0.0.1:7000'])
})

t.test('addresses of interfaces never push out how others see this host', async (t) => {
  const hosts = Array.from({ length: 30 }, (_, i) => `192.0.2.${i + 1}:7`)
  const own = ownCandidates({ ...NOTHING, hosts, observed: ['203.0.113.1:1'], mapped: ['203.0.113.2:2'] })
  t.equal(own.length, 16)
  t.same(own.slice(-2), ['203.0.113.1:1', '203.0.113.2:2'])
  const mapped = ['192.0.2.1:7', '203.0.113.2:2']
  t.same(ownCandidates({ ...NOTHING, hosts: ['192.0.2.1:7'], mapped }), mapped, 'each once')
})

t.test('a port mapping goes before what others see, and last where another NAT is outside', async (t) => {
  const seen = { ...NOTHING, hosts: ['10.0.0.1:7'], observed: ['203.0.113.1:1'], mapped: ['203.0.113.2:2'] }
  const others = ['203.0.113.1:1', '203.0.113.2:2']
  t.same(ownCandidates({ ...seen, portMapped: '203.0.113.1:7' }), ['10.0.0.1:7', '203.0.113.1:7', ...others])
  t.same(ownCandidates({ ...seen, portMapped: '100.64.0.9:7' }), ['10.0.0.1:7', ...others, '100.64.0.9:7'])
  t.same(ownCandidates({ ...seen, portMapped: '203.0.113.1:1' }), ['10.0.0.1:7', ...others], 'each once')
})

t.test('IPv6 and IPv4 by turns, global before unique local', async (t) => {
  t.same(interleaved(['10.0.0.1:7', '[fd00::1]:7', '[2001:db8::1]:7', '10.0.0.2:7', '10.0.0.3:7']), [
    '[2001:db8::1]:7',
    '10.0.0.1:7',
    '[fd00::1]:7',
    '10.0.0.2:7',
    '10.0.0.3:7',
  ])
  t.same(interleaved([]), [])
})

t.test(
  'a peer that offers an address of the overlay, loopback or multicast is not probed there',
  async (t) => {
    const bad = ['10.100.7.1:7', '127.0.0.1:7', '224.0.0.1:7', '255.255.255.255:7', '[::1]:7', '[ff02::1]:7']
    t.same(peerCandidates([...bad, '192.168.0.1:7'], '127.0.0.1', overlay), ['192.168.0.1:7'])
  },
)

t.test('a peer that sees two mappings in turn has each announced once', async (t) => {
  const observed = new ObservedAddresses()
  const news = ['a:1', 'b:2', 'a:1', 'b:2', 'a:1'].map((address) => observed.put(2, address))
  t.same(news, [true, true, false, false, false])
  t.same(observed.all(), ['a:1'], 'the newest is offered')
  observed.clear()
  t.ok(observed.put(2, 'b:2'), 'after a change of the network all are news')
})
