/** The process's TURN servers: asked only in need, peers behind them by addresses of their own, problems told once. */
import t from 'tap'
import { silentLog } from '../../../../../../core/log.ts'
import { type RelayNeed, TurnRelays } from '../../../../../../gateway/dataplane/p2p/process/turn-relays.ts'
import type { FromProcess } from '../../../../../../gateway/dataplane/p2p/protocol.ts'
import { FakeTurn } from '../../../../../helpers/nat/fake-turn.ts'

const SERVER = {
  name: 'turn.example:3478',
  address: '192.0.2.50:3478',
  username: 'flatnet',
  password: 'right',
}
const PEER = '198.51.100.7:40001'
const STUCK: RelayNeed = { addresses: ['198.51.100.7:7443'], relayedThere: [], mayGrow: true }
const NONE: RelayNeed = { addresses: [], relayedThere: [], mayGrow: false }

function make(needAtFirst = STUCK) {
  const turn = new FakeTurn()
  const lines: string[] = []
  const bound: string[] = []
  const said: FromProcess[] = []
  const opened: string[] = []
  let now = 0
  let ids = 0
  const state = { need: needAtFirst }
  const relays: TurnRelays = new TurnRelays({
    now: () => now,
    wallNow: () => 1_800_000_000_000,
    newTransaction: () => (++ids).toString(16).padStart(24, '0'),
    mayBeRelayed: () => true,
    mayBeServer: () => true,
    knows: () => true,
    needed: () => state.need,
    send: (bytes) => {
      const answer = turn.answer(bytes)
      if (answer !== undefined) relays.heard(answer, SERVER.address)
    },
    port: {
      bind: (server, address, channel, port) => bound.push(`${server} ${address} ${channel} ${port}`),
      unbind: (server, channel) => bound.push(`un ${server} ${channel}`),
    },
    log: {
      ...silentLog,
      warn: (_: object, msg: string) => void lines.push(msg),
      info: (_: object, msg: string) => void lines.push(msg),
    },
    report: (message) => said.push(message),
    opened: (address, peer) => opened.push(`${address} ${peer}`),
    changed() {},
  })
  const it = {
    turn,
    lines,
    bound,
    opened,
    said,
    relays,
    state,
    run(ms: number) {
      for (const end = now + ms; now < end; now += 10) relays.tick()
    },
  }
  relays.order([SERVER])
  return it
}

t.test('nothing is asked before a peer needs it, half a second after its session began', async (t) => {
  const it = make({ addresses: [], relayedThere: [], mayGrow: false })
  it.run(5_000)
  t.same(it.turn.asked, [])
  t.equal(it.relays.nextAt, Infinity, 'and nothing wakes the process up')
  it.state.need = STUCK
  it.relays.soon()
  it.run(500)
  t.same(it.turn.asked, [])
  it.run(50)
  t.same(it.relays.relayed, ['192.0.2.50:50000'])
  t.match(it.said.at(-1), { type: 'turn', servers: [{ state: 'ready', relayed: '192.0.2.50:50000' }] })
})

t.test('a peer that sends through a server has an address, as long as it is needed', async (t) => {
  const it = make()
  it.run(100)
  t.ok(it.relays.heard(it.turn.indication(PEER, new Uint8Array(8)), SERVER.address))
  t.notOk(it.relays.heard(it.turn.indication(PEER, new Uint8Array(8)), '192.0.2.51:3478'), 'of no server')
  it.run(100)
  t.same(it.bound, ['0 192.0.2.50:3478 16384 40001'])
  const address = '0.0.64.0:40001'
  t.same(it.relays.by(address), { server: SERVER.name, serverAddress: SERVER.address, peer: PEER })
  it.state.need = { addresses: [address], relayedThere: [], mayGrow: false }
  it.run(5_000)
  t.ok(it.relays.by(address), 'the path in use keeps it')
  it.state.need = NONE
  it.run(2_000)
  t.equal(it.relays.by(address), undefined)
  it.run(185_000)
  t.notOk(it.turn.hasAllocation, 'given back after 3 min')
})

t.test('a refusal is one line of the log, and so is its end', async (t) => {
  const it = make()
  it.turn.users = {}
  it.run(120_000)
  t.same(it.lines, ['turn server could not be used'])
  it.turn.users = { flatnet: 'right' }
  it.relays.check()
  it.run(100)
  t.same(it.lines, ['turn server could not be used', 'turn server can be used again'])
})

t.test('an order without the server gives it back; so does the end', async (t) => {
  const it = make()
  it.run(100)
  it.relays.order([SERVER])
  t.ok(it.turn.hasAllocation, 'the same order changes nothing')
  it.relays.order([])
  t.notOk(it.turn.hasAllocation)
  it.relays.order([SERVER])
  it.run(100)
  t.ok(it.turn.hasAllocation)
  it.relays.release()
  t.notOk(it.turn.hasAllocation)
})

t.test('to a peer that is behind a server as well, this host opens the way first', async (t) => {
  const there = '192.0.2.60:50123'
  const it = make({ addresses: ['198.51.100.7:7443', there], relayedThere: [there], mayGrow: true })
  it.run(1_500)
  t.same(it.bound, ['0 192.0.2.50:3478 16384 50123'])
  t.same(it.opened, [`0.0.64.0:50123 ${there}`])
  it.run(5_000)
  t.equal(it.bound.length, 1, 'once')
})
