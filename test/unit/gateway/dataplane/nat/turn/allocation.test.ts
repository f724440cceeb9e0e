/** An allocation through its life, with a server that is a function and a clock that the test moves. */
import t from 'tap'
import { TurnAllocation, type TurnServer } from '../../../../../../gateway/dataplane/nat/turn/allocation.ts'
import { mayBeHost } from '../../../../../../gateway/dataplane/p2p/endpoints.ts'
import { FakeTurn } from '../../../../../helpers/nat/fake-turn.ts'

const overlay = { base: 0x0a640000, prefixLen: 16 }
const PEER = '198.51.100.7:40001'
const OURS = Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0)

function make(login: Partial<TurnServer> = {}) {
  const server = new FakeTurn()
  const events: string[] = []
  let now = 1_000
  let ids = 0
  const allocation = new TurnAllocation(
    {
      name: 'turn.example:3478',
      address: '192.0.2.50:3478',
      username: 'flatnet',
      password: 'right',
      ...login,
    },
    {
      newTransaction: () => (++ids).toString(16).padStart(24, '0'),
      wallNow: () => 1_800_000_000_000 + now,
      mayBeRelayed: (endpoint) => mayBeHost(endpoint, overlay),
      knows: (datagram) => datagram[0] === 1,
      bound: (peer, channel) => events.push(`bound ${peer} ${channel.toString(16)}`),
      unbound: (peer) => events.push(`unbound ${peer}`),
      changed() {},
    },
  )
  return {
    server,
    events,
    allocation,
    want: (...ips: string[]) => allocation.want(new Set(ips), now),
    heard: (peer: string, data = OURS) => allocation.received(server.indication(peer, data), now),
    /** Moves the clock on, and lets the server answer at once. */
    run(ms: number) {
      const end = now + ms
      for (let rounds = 0; rounds < 2_000; rounds++) {
        for (const bytes of allocation.tick(now)) {
          const answer = server.answer(bytes)
          if (answer !== undefined) allocation.received(answer, now)
        }
        if (allocation.nextAt <= now) continue
        if (allocation.nextAt > end) break
        now = allocation.nextAt
      }
      now = end
    },
    get state() {
      return allocation.view.state
    },
  }
}

t.test('it is asked for only when a peer has no other way, and given back when none needs it', async (t) => {
  const it = make()
  it.run(60_000)
  t.same(it.server.asked, [], 'nothing is asked while nothing needs it')
  it.want('198.51.100.7')
  it.run(0)
  t.match(it.allocation.view, { state: 'ready', relayed: '192.0.2.50:50000', rttMs: 0 })
  t.same(
    it.server.asked,
    ['allocate', 'allocate', 'createPermission'],
    'first without a name, as RFC 8489 says',
  )
  t.same([...it.server.permitted], ['198.51.100.7'])
  it.run(600_000)
  t.ok(it.server.hasAllocation, 'kept while a peer needs it')
  t.equal(it.server.asked.filter((m) => m === 'createPermission').length, 3, 'permissions end after 5 min')
  it.want()
  it.run(120_000)
  it.want()
  t.ok(it.server.hasAllocation, 'the next try may need it again')
  it.run(70_000)
  it.want()
  it.run(0)
  t.notOk(it.server.hasAllocation)
  t.equal(it.state, 'idle')
})

t.test('a peer that sends gets a channel; one without our key, or from elsewhere, gets none', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  it.heard('203.0.113.9:1')
  it.heard(PEER, Uint8Array.of(9, 9, 9, 9, 0, 0, 0, 0))
  it.run(0)
  t.equal(it.server.channels.size, 0)
  it.heard(PEER)
  it.heard(PEER)
  it.run(0)
  t.same(it.events, [`bound ${PEER} 4000`])
  it.run(1_300_000)
  t.equal(it.server.asked.filter((m) => m === 'channelBind').length, 6, 'renewed each 4 min')
  it.want()
  t.same(it.events.at(-1), `unbound ${PEER}`)
  it.want('198.51.100.7')
  it.heard(PEER)
  it.run(0)
  t.same(it.events.at(-1), `bound ${PEER} 4000`, 'by the same number, or the server would refuse')
})

t.test('a flood of ports of one peer takes 128 channels and no more', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  for (let port = 1; port <= 1_000; port++) {
    it.heard(`198.51.100.7:${port}`)
    it.run(0)
  }
  t.equal(it.server.channels.size, 128)
  t.equal(it.allocation.channels.refused, 872)
})

t.test('a stale nonce is followed, and a server that names a new one each time is left', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  it.server.nonce = 'second'
  it.run(30_000)
  t.equal(it.state, 'ready')
  const changing = make()
  Object.defineProperty(changing.server, 'nonce', { get: () => `${Math.random()}` })
  changing.want('198.51.100.7')
  changing.run(0)
  t.match(changing.allocation.view, { state: 'waiting', problem: /new nonce/ })
  t.ok(changing.server.asked.length <= 6, `${changing.server.asked.length} questions`)
})

t.test('SHA-256 is used where the server offers it, and not where the offer was cut out', async (t) => {
  const it = make()
  it.server.hash = 'sha256'
  it.server.nonce = 'obMatJos2AAAB-nonce'
  it.server.algorithms = Uint8Array.of(0, 1, 0, 0, 0, 2, 0, 0)
  it.want('198.51.100.7')
  it.run(0)
  t.equal(it.state, 'ready')
  const cut = make()
  cut.server.nonce = 'obMatJos2AAAB-nonce'
  cut.want('198.51.100.7')
  cut.run(0)
  t.match(cut.allocation.view, { state: 'waiting', problem: /refuses username/ })
})

t.test('after a restart the old allocation of this port is given back first', async (t) => {
  const it = make()
  it.server.hasAllocation = true
  it.want('198.51.100.7')
  it.run(0)
  t.equal(it.state, 'ready')
  t.same(it.server.asked.slice(0, 4), ['allocate', 'allocate', 'release', 'allocate'])
})

t.test('a server that was started anew, or forgot this host, is asked again at once', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  it.heard(PEER)
  it.run(0)
  it.server.hasAllocation = false
  it.server.relayed = '192.0.2.50:50001'
  it.run(26_000)
  t.match(it.allocation.view, { state: 'ready', relayed: '192.0.2.50:50001' })
  t.same(it.events, [`bound ${PEER} 4000`, `unbound ${PEER}`])
})

t.test('a server that falls silent: noticed, asked again in growing waits, back when it is', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  it.server.isUp = false
  it.allocation.check(1_000)
  it.run(5_000)
  t.match(it.allocation.view, { state: 'waiting', problem: 'it does not answer' })
  it.run(600_000)
  t.equal(it.state, 'waiting')
  it.server.isUp = true
  it.server.hasAllocation = false
  it.run(65_000)
  t.equal(it.state, 'ready')
})

t.test('wrong credentials: asked again after 30 s and more, never more often', async (t) => {
  const it = make({ password: 'wrong' })
  it.want('198.51.100.7')
  it.run(29_000)
  t.match(it.allocation.view, { state: 'waiting', problem: /username and password/ })
  t.same(it.server.asked, ['allocate', 'allocate'])
  it.run(3_600_000)
  t.ok(it.server.asked.length < 2 * 12, `${it.server.asked.length} questions in an hour`)
})

t.test('a secret logs in, and keeps its name for as long as the allocation lasts', async (t) => {
  const it = make({ username: '', secret: 'north' })
  // Any name is good: the fake server knows the password that the secret makes.
  const { credentialsOf } = await import('../../../../../../gateway/dataplane/nat/turn/credentials.ts')
  const { username, password } = credentialsOf({ username: '', secret: 'north' }, 1_800_000_001_000)
  it.server.users = { [username]: password }
  it.want('198.51.100.7')
  it.run(4 * 3_600_000)
  t.equal(it.state, 'ready')
})

for (const relayed of ['10.100.3.4:50000', '127.0.0.1:50000', '0.0.64.1:50000', '224.0.0.1:50000'])
  t.test(`a server that says it relays for ${relayed} is not believed`, async (t) => {
    const it = make()
    it.server.relayed = relayed
    it.want('198.51.100.7')
    it.run(0)
    t.match(it.allocation.view, { state: 'waiting', problem: /no host can be/, relayed: undefined })
  })

for (const [code, words] of [
  [300, /another server/],
  [486, /quota/],
  [508, /no port/],
  [599, /error 599/],
] as const)
  t.test(`error ${code} is said in words, and asked again later`, async (t) => {
    const it = make()
    it.server.errors.set('allocate', code)
    it.want('198.51.100.7')
    it.run(29_000)
    t.match(it.allocation.view, { state: 'waiting', problem: words })
    it.server.errors.clear()
    it.run(31_000)
    t.equal(it.state, 'ready')
  })

t.test('an answer with a wrong signature, or of no question, changes nothing', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  const { encodeTurn } = await import('../../../../../../gateway/dataplane/nat/turn/message.ts')
  const forged = (transaction: string) =>
    encodeTurn({ method: 'refresh', kind: 'error', errorCode: 437, transaction })
  it.allocation.received(forged('f'.repeat(24)), 2_000)
  t.equal(it.state, 'ready')
  t.equal(it.allocation.received(Uint8Array.of(1, 2, 3), 2_000), false)
})

t.test('when this host ends, the server is told once', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  const bytes = it.allocation.release()
  t.ok(bytes && it.server.answer(bytes))
  t.notOk(it.server.hasAllocation)
  t.equal(it.allocation.release(), undefined)
})
