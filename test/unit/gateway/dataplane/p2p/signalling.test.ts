/** gateway/dataplane/p2p/signalling: over which connection two hosts agree on UDP, and what makes their keys. */
import t from 'tap'
import type { MemberSignallingEvents } from '../../../../../gateway/dataplane/p2p/letters/member-signalling.ts'
import { Signalling } from '../../../../../gateway/dataplane/p2p/signalling.ts'
import { RelaySignals, type SignalWay } from '../../../../../gateway/dataplane/relay/signals.ts'
import { FrameType } from '../../../../../gateway/dataplane/tunnel/frame.ts'

const ATTEMPT = { type: 'p2p.answer', attempt: '0123456789abcdef' }

function simulation() {
  const told: string[] = []
  const sent: string[] = []
  const link = { isUp: false }
  const relayed = new RelaySignals()
  const letters: { isOpen: boolean; events: MemberSignallingEvents | undefined } = {
    isOpen: false,
    events: undefined,
  }
  const signalling = new Signalling({
    relayed,
    memberSignalling: {
      has: () => letters.isOpen,
      send: (hostId, { type }) => sent.push(`${type} to ${hostId} by letter`) > 0,
      exportKey: () => Buffer.from('letters'),
      peerValidTo: () => 9,
      rttMs: () => 40,
      listen(events) {
        letters.events = events
        return () => {
          letters.events = undefined
        }
      },
    },
    events: {
      up: (hostId) => void told.push(`up ${hostId}`),
      down: (hostId) => void told.push(`down ${hostId}`),
      message: (hostId, { type }) => void told.push(`${type} ${hostId}`),
    },
    links: {
      isUp: () => link.isUp,
      send: (hostId, { type }) => sent.push(`${type} to ${hostId} by the link`) > 0,
      exportKey: () => Buffer.from('link'),
      addresses: () => ({ local: '192.0.2.1', remote: '192.0.2.2' }),
      peerValidTo: () => 1,
    },
  })
  const way = (hostId: number, relay: number): SignalWay => ({
    hostId,
    relay,
    channel: {
      send: (type, payload) =>
        void sent.push(
          `${JSON.parse(`${Buffer.from(payload)}`).type} to ${hostId} by ${relay}, frame ${type}`,
        ),
    },
    socket: {
      exportKeyingMaterial: () => Buffer.from(`relay ${relay}`),
      getPeerX509Certificate: () => ({ validToDate: new Date(relay) }) as never,
    },
  })
  const key = (): string => `${signalling.exportKey(2, 64, 'label', Buffer.alloc(0))}`
  return { told, sent, letters, link, relayed, signalling, way, key }
}

const frameOf = (message: unknown): Uint8Array => Buffer.from(JSON.stringify(message))

t.test('without a link, a relayed connection is the way', async (t) => {
  const { told, sent, relayed, signalling, way, key } = simulation()
  t.notOk(signalling.isUp(2))
  t.notOk(signalling.send(2, ATTEMPT))
  t.equal(signalling.exportKey(2, 64, 'label', Buffer.alloc(0)), undefined)
  const seven = way(2, 7)
  relayed.add(seven)
  t.ok(signalling.send(2, ATTEMPT))
  t.same(sent, [`p2p.answer to 2 by 7, frame ${FrameType.SIGNAL}`])
  t.equal(key(), 'relay 7')
  t.equal(signalling.peerValidTo(2), 7)
  t.equal(signalling.addresses(2), undefined, 'its addresses are the relay’s')
  relayed.receive(seven.channel, frameOf(ATTEMPT))
  relayed.remove(seven.channel)
  t.same(told, ['up 2', 'p2p.answer 2', 'down 2'])
  t.notOk(signalling.isUp(2))
})

t.test(
  'keys come from the connection of the last message, since each end may prefer another one',
  async (t) => {
    const { relayed, signalling, way, key, link } = simulation()
    const [seven, eight] = [way(2, 7), way(2, 8)]
    relayed.add(seven)
    signalling.send(2, ATTEMPT)
    relayed.add(eight)
    t.equal(key(), 'relay 7')
    relayed.receive(eight.channel, frameOf(ATTEMPT))
    t.equal(key(), 'relay 8')
    relayed.remove(eight.channel)
    t.equal(key(), 'relay 7')
    link.isUp = true
    signalling.linkUp(2)
    t.equal(key(), 'link')
    link.isUp = false
    t.equal(key(), 'relay 7')
  },
)

t.test('the link comes and goes beside a relayed connection', async (t) => {
  const { told, relayed, signalling, way, link } = simulation()
  link.isUp = true
  signalling.linkUp(2)
  const seven = way(2, 7)
  relayed.add(seven)
  t.same(told, ['up 2'], 'the relay is no news')
  link.isUp = false
  signalling.linkDown(2)
  t.same(told.slice(1), ['down 2', 'up 2'], 'the relay takes over')
  link.isUp = true
  signalling.linkUp(2)
  relayed.remove(seven.channel)
  t.same(told.slice(3), ['up 2'])
})

t.test('what is no message about UDP is ignored', async (t) => {
  const { told, relayed, signalling, way } = simulation()
  const seven = way(2, 7)
  relayed.add(seven)
  relayed.receive(seven.channel, frameOf({ type: 'registry.table' }))
  relayed.receive(seven.channel, frameOf({ type: 7 }))
  relayed.receive(seven.channel, frameOf(['p2p.answer']))
  relayed.receive(seven.channel, Buffer.from('{'))
  relayed.receive(seven.channel, frameOf({ ...ATTEMPT, padding: 'x'.repeat(5_000) }))
  relayed.receive(way(2, 7).channel, frameOf(ATTEMPT))
  signalling.stop()
  relayed.receive(seven.channel, frameOf(ATTEMPT))
  t.same(told, ['up 2'])
})

t.test('letters are the way where nothing else is, and end where a try began', async (t) => {
  const { told, sent, letters, link, relayed, signalling, way, key } = simulation()
  t.equal(signalling.kind(2), undefined)
  letters.isOpen = true
  letters.events?.up(2)
  t.equal(signalling.kind(2), 'members')
  t.ok(signalling.send(2, ATTEMPT))
  t.same(sent, ['p2p.answer to 2 by letter'])
  t.same([key(), signalling.peerValidTo(2), signalling.startInMs(2)], ['letters', 9, 20])
  relayed.add(way(2, 7))
  t.equal(signalling.kind(2), 'members', 'the answer goes the way of the offer')
  letters.isOpen = false
  letters.events?.down(2)
  t.same(told, ['up 2', 'up 2'], 'a relay is there')
  t.same([signalling.kind(2), key(), signalling.startInMs(2)], ['hub', 'relay 7', 0])
  letters.isOpen = true
  letters.events?.up(2)
  t.equal(signalling.kind(2), 'hub')
  letters.events?.message(2, ATTEMPT)
  letters.events?.message(2, { type: 'registry.table' })
  t.equal(signalling.kind(2), 'members')
  link.isUp = true
  signalling.linkUp(2)
  t.equal(signalling.kind(2), 'link')
  t.same(told.slice(2), ['p2p.answer 2', 'up 2'])
})
