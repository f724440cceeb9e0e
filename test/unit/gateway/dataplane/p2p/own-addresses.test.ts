/** gateway/dataplane/p2p/own-addresses: whom the process is to ask, how often, and what comes of the answers. */
import t from 'tap'
import { silentLog } from '../../../../../core/log.ts'
import { OwnAddresses, type OwnAddressesDeps } from '../../../../../gateway/dataplane/p2p/own-addresses.ts'
import type { ToProcess } from '../../../../../gateway/dataplane/p2p/protocol.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

const overlay = { base: 0x0a640000, prefixLen: 16 }

function make(part: Partial<OwnAddressesDeps> = {}) {
  const time = new SimTime()
  const told: ToProcess[] = []
  const addresses = new OwnAddresses({
    overlay,
    scheduler: time.scheduler(() => 0),
    log: silentLog,
    stun: [],
    resolve: async () => [],
    members: () => ['192.168.1.2:7443', '192.0.2.1:7443'],
    announced: () => ['198.51.100.1:7443'],
    advertised: [],
    portMapped: () => undefined,
    toProcess: (message) => {
      told.push(message)
      return true
    },
    ...part,
  })
  return { time, told, addresses }
}

const said = (hosts: readonly string[], mapped: readonly string[]) =>
  ({
    type: 'ownAddresses',
    hosts,
    mapped: mapped.map((address, i) => ({ server: `192.0.2.${i + 1}:3478`, address })),
  }) as const

/** Lookups are answered. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

t.test('public members are asked first, each 25 s while a try is near, else each 5 min', async (t) => {
  const { told, addresses } = make()
  addresses.connected(true)
  addresses.tick(true)
  addresses.tick(false)
  const servers = ['192.0.2.1:7443', '192.168.1.2:7443']
  t.same(told, [
    { type: 'findAddresses', servers, everyMs: 25_000 },
    { type: 'findAddresses', servers, everyMs: 300_000 },
  ])
})

t.test('a process that is too old is not asked, and the announced addresses are offered', async (t) => {
  const { told, addresses } = make()
  addresses.connected(false)
  addresses.tick(true)
  t.same(told, [])
  t.same(addresses.candidates(7, '192.168.1.9'), ['192.168.1.9:7', '198.51.100.1:7'])
})

t.test('servers by name follow once they are found, and stay when a later lookup fails', async (t) => {
  let isDown = false
  const { time, told, addresses } = make({
    stun: ['stun.example:3478'],
    members: () => [],
    resolve: async () => {
      if (isDown) throw new Error('ENOTFOUND')
      return ['192.0.2.9:3478']
    },
  })
  addresses.connected(true)
  await settled()
  addresses.tick(true)
  isDown = true
  time.run(300_000)
  addresses.tick(true)
  await settled()
  addresses.tick(true)
  t.same(
    told.map((message) => 'servers' in message && message.servers),
    [[], ['192.0.2.9:3478']],
  )
})

t.test('a server that lies adds one address and takes none away', async (t) => {
  const { addresses } = make()
  addresses.connected(true)
  const truth = '203.0.113.7:7443'
  t.ok(addresses.said(said(['192.168.1.9:7443'], [truth, truth])))
  const lies = ['203.0.113.66:1', '10.100.2.1:7443', '127.0.0.1:7443', '224.0.0.1:7', '203.0.113.67:1']
  t.ok(addresses.said(said(['192.168.1.9:7443'], [...lies, truth, truth])), 'an address is new')
  t.same(addresses.candidates(7443, undefined), [
    '192.168.1.9:7443',
    truth,
    '203.0.113.66:1',
    '203.0.113.67:1',
  ])
  t.notOk(addresses.said(said(['192.168.1.9:7443'], [truth])), 'that one is gone is no news for peers')
})

t.test('what peers see is offered too, unless it is of the overlay', async (t) => {
  const { addresses } = make()
  t.ok(addresses.observed(2, '203.0.113.8:7'))
  t.notOk(addresses.observed(2, '203.0.113.8:7'))
  t.notOk(addresses.observed(3, '10.100.3.1:7'))
  addresses.said(said([], []))
  t.same(addresses.candidates(7, undefined), ['203.0.113.8:7'])
  addresses.networkChanged()
  t.same(addresses.candidates(7, undefined), [])
})

t.test('UDP that is blocked here: every public server is silent, others than the peer', async (t) => {
  const { time, addresses } = make()
  addresses.connected(true)
  t.equal(addresses.udp([]), undefined, 'not known at once')
  time.run(7_400)
  addresses.tick(false)
  t.equal(addresses.udp([]), undefined, 'the last question may be answered yet')
  time.run(200)
  t.equal(addresses.udp([]), 'silent')
  t.equal(addresses.udp(['192.168.1.2:7443']), 'silent')
  t.equal(addresses.udp(['192.0.2.1:40000']), undefined, 'the silent one is the peer')
  addresses.said(said([], ['203.0.113.1:7443']))
  t.equal(addresses.udp(['192.0.2.1:7443']), 'works')
  addresses.said(said([], []))
  t.equal(addresses.udp([]), 'silent', 'a server has stopped to answer')
  addresses.connected(false)
  t.equal(addresses.udp([]), undefined, 'the process cannot ask')
})

t.test('members that answer sooner by turns are no new ones', async (t) => {
  const members = ['192.0.2.1:7443', '192.0.2.2:7443']
  const { time, addresses } = make({ members: () => members.reverse() })
  addresses.connected(true)
  for (let second = 0; second < 8; second++) {
    time.run(1_000)
    addresses.tick(second % 2 === 0)
  }
  t.equal(addresses.udp([]), 'silent')
  members.push('192.0.2.3:7443')
  addresses.tick(true)
  t.equal(
    addresses.udp(['192.0.2.1:7443', '192.0.2.2:7443']),
    undefined,
    'a new one has not been asked for long',
  )
})

t.test('servers of paths.stun count whatever their address, members only at public ones', async (t) => {
  const { time, addresses } = make({ members: () => ['192.168.1.2:7443'] })
  addresses.connected(true)
  time.run(60_000)
  t.equal(addresses.udp([]), undefined, 'behind NATs members reach no private address of each other')
  const lan = make({ members: () => [], stun: ['10.0.0.1:3478'], resolve: async (server) => [server] })
  lan.addresses.connected(true)
  await settled()
  lan.addresses.tick(true)
  lan.time.run(8_000)
  t.equal(lan.addresses.udp([]), 'silent')
})

t.test('a NAT that gives each destination another port', (t) => {
  const { addresses } = make()
  const rows: readonly (readonly [name: string, mapped: readonly string[], isSymmetric: boolean])[] = [
    ['nothing seen', [], false],
    ['one server', ['203.0.113.1:7443'], false],
    ['two that agree', ['203.0.113.1:7443', '203.0.113.1:7443'], false],
    ['two that do not', ['203.0.113.1:7443', '203.0.113.1:40000'], true],
    ['one of three lies', ['203.0.113.1:7443', '203.0.113.1:7443', '203.0.113.1:9'], false],
    ['one is in the same LAN', ['192.168.1.7:7443', '203.0.113.1:7443'], false],
    ['one of three is in the same LAN', ['192.168.1.7:7443', '203.0.113.1:1', '203.0.113.1:2'], true],
    ['IPv6 has no ports of a NAT', ['[2001:db8::1]:7443', '203.0.113.1:1'], false],
  ]
  for (const [name, mapped, isSymmetric] of rows) {
    addresses.said(said([], mapped))
    t.equal(addresses.isSymmetric, isSymmetric, name)
  }
  const twice = said([], ['203.0.113.1:1', '203.0.113.1:2'])
  addresses.said({ ...twice, mapped: twice.mapped.map((m, i) => ({ ...m, server: `192.0.2.1:${i + 1}` })) })
  t.equal(addresses.isSymmetric, false, 'two ports of one server show nothing of destinations')
  t.end()
})
