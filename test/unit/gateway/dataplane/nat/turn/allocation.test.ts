/** An allocation through its life, with a server that is a function and a clock that the test moves. */
import t from 'tap'
import { TurnAllocation, type TurnServer } from '../../../../../../gateway/dataplane/nat/turn/allocation.ts'
import { mayBeHost } from '../../../../../../gateway/dataplane/p2p/endpoints.ts'
import { FakeTurn } from '../../../../../helpers/nat/fake-turn.ts'

const overlay = { base: 0x0a640000, prefixLen: 16 }
const PEER = '198.51.100.7:40001'
const OURS = Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0)

function make(login: Partial<TurnServer> = {}, loginLifeMs = 86_400_000) {
  const server = new FakeTurn()
  /** By address; those that are not named here are all `server`. */
  const servers = new Map<string, FakeTurn>()
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
      mayAsk: (endpoint) => mayBeHost(endpoint, overlay),
      loginLifeMs,
      knows: (datagram) => datagram[0] === 1,
      bound: (peer, channel) => events.push(`bound ${peer} ${channel.toString(16)}`),
      unbound: (peer) => events.push(`unbound ${peer}`),
      changed() {},
    },
  )
  return {
    server,
    servers,
    events,
    allocation,
    want: (...ips: string[]) => allocation.want(new Set(ips), now),
    heard: (peer: string, data = OURS) => allocation.received(server.indication(peer, data), now),
    /** Moves the clock on, and lets the server answer at once. */
    run(ms: number) {
      const end = now + ms
      for (let rounds = 0; rounds < 2_000; rounds++) {
        for (const bytes of allocation.tick(now)) {
          const asked = servers.get(allocation.address) ?? server
          asked.now = now
          const answer = asked.answer(bytes)
          if (answer !== undefined) allocation.received(answer, now)
        }
        if (allocation.nextAt <= now) continue
        if (allocation.nextAt > end) break
        now = allocation.nextAt
      }
      now = end
    },
    get now() {
      return now
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

for (const [code, words, waitMs] of [
  [300, /another server, without naming it/, 30_000],
  [403, /forbids/, 30_000],
  [486, /quota/, 60_000],
  [508, /no port/, 60_000],
  [599, /error 599/, 30_000],
] as const)
  t.test(`error ${code} is said in words, and asked again after ${waitMs} ms, and no sooner`, async (t) => {
    const it = make()
    it.server.errors.set('allocate', code)
    it.want('198.51.100.7')
    it.run(0)
    const asked = it.server.asked.length
    t.match(it.allocation.view, { state: 'waiting', problem: words })
    for (let i = 0; i < 40; i++) {
      it.run(waitMs / 40 - 1)
      it.allocation.check(it.now)
      it.want('198.51.100.7')
    }
    const [least, most] = waitMs === 60_000 ? [0, 0] : [2, 2 * 8]
    const more = it.server.asked.length - asked
    t.ok(more >= least && more <= most, `${more} more questions while paths are lost in between`)
    it.server.errors.clear()
    it.run(waitMs)
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

t.test('a permission lives as long as its path, also when renewals get lost', async (t) => {
  const it = make()
  it.want('198.51.100.7')
  it.run(0)
  it.heard(PEER)
  const closedAt: number[] = []
  for (let second = 0; second < 1_800; second++) {
    // The first renewal gets no answer at all, nor does that of the channel.
    it.server.isUp = !(second >= 239 && second <= 244)
    it.run(1_000)
    it.want('198.51.100.7')
    if (!it.server.relays('198.51.100.7')) closedAt.push(second)
  }
  t.same(closedAt, [], 'the second in which the server let nothing through')
  t.same(it.events, [`bound ${PEER} 4000`], 'and the channel was kept')
})

t.test(
  'a server that answers when it was given up already: its allocation is given back first',
  async (t) => {
    const it = make()
    const late: Uint8Array[] = []
    const answer = it.server.answer.bind(it.server)
    it.server.answer = (bytes) => {
      const reply = answer(bytes)
      if (reply !== undefined) late.push(reply)
      return undefined
    }
    it.want('198.51.100.7')
    it.run(4_600)
    t.match(it.allocation.view, { state: 'waiting', problem: 'it does not answer' })
    for (const bytes of late) t.ok(it.allocation.received(bytes, it.now))
    t.equal(it.state, 'waiting', 'what it says too late counts no more')
    it.server.hasAllocation = true
    it.server.answer = answer
    it.run(6_000)
    t.equal(it.state, 'ready')
  },
)

t.test('a server with several addresses: one that is silent is left for the next', async (t) => {
  const others = ['192.0.2.51:3478', '[2001:db8::1]:3478']
  const it = make({ others })
  const dead = new FakeTurn()
  dead.isUp = false
  it.servers.set('192.0.2.50:3478', dead)
  it.want('198.51.100.7')
  it.run(5_000)
  t.match(it.allocation.view, { state: 'ready', problem: undefined })
  t.equal(it.allocation.address, others[0])
  it.servers.set('192.0.2.51:3478', dead)
  it.allocation.check(it.now)
  it.run(5_000 + 6_000)
  t.equal(it.allocation.address, others[1], 'by IPv6, too')
  t.equal(it.state, 'ready')
  it.servers.clear()
  it.server.isUp = false
  it.allocation.check(it.now)
  it.run(60_000)
  t.match(it.allocation.view, { state: 'waiting', problem: 'it does not answer' })
  it.server.isUp = true
  it.server.hasAllocation = false
  it.run(31_000)
  t.equal(it.state, 'ready', 'within half a minute and the time that the dead ones take')
})

t.test('a server that refers to another one is left for that one', async (t) => {
  const it = make()
  const other = new FakeTurn()
  other.relayed = '192.0.2.60:50000'
  it.server.alternate = '192.0.2.60:3478'
  it.servers.set('192.0.2.60:3478', other)
  it.want('198.51.100.7')
  it.run(0)
  t.match(it.allocation.view, { state: 'ready', relayed: '192.0.2.60:50000' })
  t.equal(it.allocation.address, '192.0.2.60:3478')
  other.isUp = false
  it.server.alternate = undefined
  it.allocation.check(it.now)
  it.run(5_000 + 5_000)
  t.equal(it.allocation.address, '192.0.2.50:3478', 'and asked first again when that one is gone')
  t.equal(it.state, 'ready')
})

for (const [what, alternate] of [
  ['back to itself', '192.0.2.50:3478'],
  ['where no server can be', '127.0.0.1:3478'],
  ['into the overlay', '10.100.1.2:3478'],
] as const)
  t.test(`a server that refers ${what} is not followed, and that is told`, async (t) => {
    const it = make()
    it.server.alternate = alternate
    it.want('198.51.100.7')
    it.run(0)
    const problem = `it refers to another server, ${alternate}, which cannot be used`
    t.match(it.allocation.view, { state: 'waiting', problem })
    t.equal(it.server.asked.length, 2)
  })

t.test('servers that refer to one another are asked once each', async (t) => {
  const it = make()
  for (let i = 0; i < 9; i++) {
    const server = new FakeTurn()
    server.alternate = `192.0.2.${61 + i}:3478`
    it.servers.set(`192.0.2.${60 + i}:3478`, server)
  }
  it.server.alternate = '192.0.2.60:3478'
  it.want('198.51.100.7')
  it.run(0)
  t.match(it.allocation.view, { state: 'waiting', problem: /192\.0\.2\.62:3478/ })
})

t.test('a server without IPv4 relays for IPv6', async (t) => {
  const it = make({ address: '[2001:db8::50]:3478' })
  it.server.isV6 = true
  it.server.relayed = '[2001:db8::50]:50000'
  it.want('198.51.100.7', '2001:db8::7')
  it.run(0)
  t.match(it.allocation.view, { state: 'ready', relayed: '[2001:db8::50]:50000' })
  t.same([...it.server.permitted], ['[2001:db8::7]'])
})

t.test(
  'a silent server is asked at once when a path is lost, also in the middle of a question',
  async (t) => {
    const it = make()
    it.server.isUp = false
    it.want('198.51.100.7')
    it.run(2_200)
    it.server.isUp = true
    it.allocation.check(it.now)
    it.run(10)
    t.equal(it.state, 'ready')
  },
)

const LIFE_MS = 3_600_000
t.test('credentials of a secret end while an allocation lives', async (t) => {
  const { credentialsOf } = await import('../../../../../../gateway/dataplane/nat/turn/credentials.ts')
  const logins = () => {
    const it = make({ username: 'h1', secret: 'north' }, LIFE_MS)
    // As coturn has it: any name with a time that is not over, and the password that the secret makes of it.
    it.server.users = new Proxy(
      {},
      {
        get: (_, name: string) => {
          const until = Number(name.split(':')[0])
          it.server.expiresAt.set(name, until * 1_000 - 1_800_000_000_000)
          const wall = until * 1_000 - LIFE_MS
          return credentialsOf({ username: 'h1', secret: 'north' }, wall, LIFE_MS).password
        },
      },
    )
    it.want('198.51.100.7')
    it.run(0)
    t.equal(it.state, 'ready')
    return it
  }
  const names = (it: ReturnType<typeof make>) => it.server.expiresAt.size
  t.test('a server that looks only at the beginning, as coturn: nothing changes', async (t) => {
    const it = logins()
    it.run(3 * LIFE_MS)
    t.equal(it.state, 'ready')
    t.equal(it.server.asked.filter((method) => method === 'allocate').length, 2)
    t.ok(names(it) > 2, `${names(it)} names: a newer one is tried, as the server may have been started anew`)
  })
  t.test('a server that takes new credentials for the same allocation: nothing changes', async (t) => {
    const it = logins()
    it.server.isStrict = true
    it.server.isTied = false
    it.run(3 * LIFE_MS)
    t.equal(it.state, 'ready')
    t.equal(it.server.asked.filter((method) => method === 'allocate').length, 2)
    t.ok(names(it) >= 3, `${names(it)} names`)
  })
  t.test('a server that takes neither: a new allocation within 2 min', async (t) => {
    const it = logins()
    it.server.isStrict = true
    let awayS = 0
    for (let i = 0; i < (3 * LIFE_MS) / 1_000; i++) {
      it.run(1_000)
      it.want('198.51.100.7')
      if (it.state !== 'ready') awayS++
    }
    t.comment(`${awayS} s away in ${names(it)} lives`)
    t.ok(awayS > 0 && awayS <= 3 * 120, `${awayS} s`)
    t.equal(it.state, 'ready')
  })
})
