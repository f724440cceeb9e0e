/** gateway/dataplane/relay: a relay that reads, changes, misleads or lies can only break the connection. */
import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { connect, createServer } from 'node:tls'
import t from 'tap'
import { Purpose } from '../../../../../gateway/dataplane/relay/purpose.ts'
import { StreamError } from '../../../../../gateway/links/streams/stream-frame.ts'
import type { StreamOffer } from '../../../../../gateway/links/streams/streams.ts'
import { Alpn, tlsOptions } from '../../../../../gateway/links/tls.ts'
import type { Identity } from '../../../../../gateway/links/types.ts'
import { testCluster } from '../../../../helpers/cluster/cluster.ts'
import { type RelayHosts, relayHosts } from '../../../../helpers/cluster/relay-hosts.ts'
import { waitFor } from '../../../../helpers/run/wait.ts'

const WAIT = 10_000

/** 3 is the test's own: it does what it likes with the streams of 1. */
const STAR = [
  [1, 3],
  [2, 3],
  [4, 3],
] as const

interface Twist {
  readonly to?: number
  readonly from?: number
  /** Of what 1 sends, and of what comes back. */
  readonly there?: (chunk: Buffer) => Buffer
  readonly back?: (chunk: Buffer) => Buffer
}

function relayWith(w: RelayHosts, twist: Twist): void {
  const { streams } = w.host(3).links
  const same = (chunk: Buffer): Buffer => chunk
  const pass = (from: Duplex, to: Duplex, change: (chunk: Buffer) => Buffer): void => {
    from.on('data', (chunk: Buffer) => to.write(change(chunk)))
    from.on('error', () => {})
    from.once('end', () => to.destroy())
    from.once('close', () => to.destroy())
  }
  const carry = async (offer: StreamOffer): Promise<void> => {
    const head = { purpose: Purpose.relayed, from: twist.from ?? offer.hostId }
    const leg = await streams.open(twist.to ?? Number(offer.head['to']), head, { timeoutMs: WAIT })
    const stream = offer.accept()
    pass(stream, leg, twist.there ?? same)
    pass(leg, stream, twist.back ?? same)
  }
  streams.handle(Purpose.relay, (offer) => void carry(offer))
}

/** @returns the types of the records, when nothing but TLS records is in it */
function recordTypes(bytes: Buffer): number[] {
  const types: number[] = []
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    if (bytes[at + 1] !== 3) throw new Error(`no TLS record at ${at}`)
    types.push(bytes[at] ?? 0)
  }
  return types
}

t.test('all that a relay sees is TLS of others', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  const seen: [Buffer[], Buffer[]] = [[], []]
  const record =
    (into: Buffer[]) =>
    (chunk: Buffer): Buffer => {
      into.push(Buffer.from(chunk))
      return chunk
    }
  relayWith(w, { there: record(seen[0]), back: record(seen[1]) })
  w.relays(1).request(2, 3)
  const [a, b] = await w.joined(1, 2, 3)
  const secret = randomBytes(32).toString('hex')
  const got: string[] = []
  a.on('data', (chunk: Buffer) => got.push(chunk.toString()))
  b.on('data', (chunk: Buffer) => b.write(chunk))
  for (let i = 0; i < 20; i++) a.write(secret)
  await waitFor('all came back', WAIT, () => got.join('') === secret.repeat(20))
  for (const bytes of seen.map((chunks) => Buffer.concat(chunks))) {
    t.ok(bytes.length > 20 * secret.length)
    t.notOk(bytes.includes(secret))
    t.notOk(bytes.includes(`flatnet://testing/host/`), 'not even the certificates')
    // Change of cipher, alert, handshake, data.
    t.ok(recordTypes(bytes).every((type) => type >= 20 && type <= 23))
  }
})

t.test('one changed bit ends the connection, and nothing of it is delivered', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  let isEvil = false
  relayWith(w, {
    there(chunk) {
      if (isEvil) chunk[chunk.length - 1]! ^= 1
      return chunk
    },
  })
  w.relays(1).request(2, 3)
  const [a, b] = await w.joined(1, 2, 3)
  const got: string[] = []
  b.on('data', (chunk: Buffer) => got.push(chunk.toString()))
  a.write('before')
  await waitFor('it works', WAIT, () => got.length > 0)
  isEvil = true
  a.write('after')
  await waitFor('both know', WAIT, () => w.host(2).told.length >= 2 && !w.isUsable(1, 2, 3))
  t.equal(got.join(''), 'before')
  t.match(w.host(2).told, ['up 1 3', /^down 1 3: .*bad record mac/i])
})

t.test('bytes that are said again are refused as well', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  let last: Buffer = Buffer.alloc(0)
  let isEvil = false
  relayWith(w, {
    there(chunk) {
      const twice = isEvil ? Buffer.concat([chunk, chunk]) : chunk
      last = chunk
      return twice
    },
  })
  w.relays(1).request(2, 3)
  const [a, b] = await w.joined(1, 2, 3)
  isEvil = true
  const got: string[] = []
  b.on('data', (chunk: Buffer) => got.push(chunk.toString()))
  a.write('once')
  await waitFor('it is over', WAIT, () => w.host(2).told.length >= 2)
  t.ok(last.length > 0)
  t.equal(got.join(''), 'once')
})

t.test('another host at the other end is refused, and hears nothing', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  relayWith(w, { to: 4 })
  w.relays(1).request(2, 3)
  await waitFor('1 has refused', WAIT, () => w.host(1).told.length > 0)
  t.same(w.host(1).told, ['problem 2 3: behind host 3 is host 4, not host 2'])
  t.notOk(w.isUsable(1, 2, 3))
  t.same(w.host(4).told, [])
  t.same(w.host(2).told, [])
})

t.test('a stream that is said to come from another host is refused', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  relayWith(w, { from: 4 })
  w.relays(1).request(2, 3)
  await waitFor('1 knows', WAIT, () => w.host(1).told.length > 0)
  t.same(w.host(1).told, ['problem 2 3: read ECONNRESET'])
  t.same(w.host(2).told, [], 'neither as 4 nor as 1')
})

t.test('the relay itself, strangers and nobody are no other ends', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  w.host(2).refused.set(4, 'revoked')
  const { streams } = w.host(3).links
  for (const from of [3, 2, 9, '1', undefined]) {
    const opened = streams.open(2, { purpose: Purpose.relayed, from }, { timeoutMs: WAIT })
    await t.rejects(opened, new StreamError('not from a host behind the relay', true), String(from))
  }
  const revoked = streams.open(2, { purpose: Purpose.relayed, from: 4 }, { timeoutMs: WAIT })
  await t.rejects(revoked, new StreamError('revoked', true))
})

t.test(
  'of two connections that meet, one is ended before the other is known to be kept: no failure',
  async (t) => {
    const w = await relayHosts(t, STAR, [3])
    const { streams } = w.host(3).links
    const gate = Promise.withResolvers<void>()
    const carry = async (offer: StreamOffer): Promise<void> => {
      const head = { purpose: Purpose.relayed, from: offer.hostId }
      const leg = await streams.open(Number(offer.head['to']), head, { timeoutMs: WAIT })
      const stream = offer.accept()
      let flights = 0
      stream.on('data', (chunk: Buffer) => {
        flights++
        leg.write(chunk)
      })
      leg.on('data', (chunk: Buffer) => {
        // Of what 1 asked for: what comes after its certificate, the word that it is kept, is late.
        if (offer.hostId === 1 && flights > 1) void gate.promise.then(() => stream.write(chunk))
        else stream.write(chunk)
      })
      stream.once('close', () => leg.destroy())
      leg.once('close', () => stream.destroy())
    }
    streams.handle(Purpose.relay, (offer) => void carry(offer))
    w.relays(2).request(1, 3)
    w.relays(1).request(2, 3)
    w.time.run(250)
    await waitFor(
      '2 has kept the one of 1, and 1 knows the end of the other',
      WAIT,
      () => w.host(1).told.length === 2,
    )
    t.match(w.host(1).told, ['up 2 3', /^down 2 3: /])
    t.ok(w.isUsable(1, 2, 3))
    gate.resolve()
    await w.joined(1, 2, 3)
    t.same(w.host(1).told.slice(2), ['up 2 3'])
  },
)

t.test('a relay that answers by itself is refused, as itself and as the other end', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  const { streams } = w.host(3).links
  // Of the same name, and by another CA.
  const forged = await (await testCluster('testing')).identity(2)
  const faces: [Identity, string][] = [
    [forged, 'behind host 3 is no host of this cluster, not host 2'],
    [w.host(3).identity, 'behind host 3 is host 3, not host 2'],
  ]
  let face = forged
  const heard: string[] = []
  streams.handle(Purpose.relay, (offer) => {
    const server = createServer({ ...tlsOptions(face), ALPNProtocols: [Alpn.data] }, (socket) => {
      socket.on('error', () => {})
      socket.on('data', () => heard.push('data'))
      socket.write(Buffer.from([1]))
    })
    server.emit('connection', offer.accept())
  })
  for (const [identity, reason] of faces) {
    face = identity
    w.relays(1).request(2, 3)
    await waitFor('1 has refused', WAIT, () => !w.isUsable(1, 2, 3))
    t.equal(w.relays(1).problem(2, 3), reason)
    w.relays(1).release(2)
    w.relays(1).linkUp(3)
  }
  t.same(heard, [])
  t.notOk(w.host(1).told.some((told) => told.startsWith('up')))
})

t.test('a certificate of another cluster, or none, is refused', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  const { streams } = w.host(3).links
  // Of the same name, and by another CA.
  const stranger = await (await testCluster('testing')).identity(1)
  for (const face of [tlsOptions(stranger), {}]) {
    const stream = await streams.open(2, { purpose: Purpose.relayed, from: 1 }, { timeoutMs: WAIT })
    const socket = connect({
      ...face,
      socket: stream,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [Alpn.data],
    })
    const seen: string[] = []
    for (const event of ['data', 'end', 'error'] as const) socket.on(event, () => seen.push(event))
    await waitFor('it is closed', WAIT, () => seen.length > 0)
    t.notOk(seen.includes('data'), 'it was never kept')
    socket.destroy()
  }
  t.same(w.host(2).told, [])
})

t.test('an end that says nothing is given up after 5 s', async (t) => {
  const w = await relayHosts(t, STAR, [3])
  const { streams } = w.host(3).links
  const stream = await streams.open(2, { purpose: Purpose.relayed, from: 1 }, { timeoutMs: WAIT })
  stream.resume()
  w.time.run(5_000)
  await waitFor('it is closed', WAIT, () => stream.destroyed)
  let heard = 0
  streams.handle(Purpose.relay, (offer) =>
    offer.accept().on('data', (chunk: Buffer) => {
      heard += chunk.length
    }),
  )
  w.relays(1).request(2, 3)
  await waitFor('1 has begun its handshake', WAIT, () => heard > 0)
  w.time.run(5_000)
  await waitFor('1 gives up', WAIT, () => w.host(1).told.includes('problem 2 3: no handshake in time'))
  t.pass()
})

t.test('a relay that passes on to another relay: no second hop', async (t) => {
  const w = await relayHosts(
    t,
    [
      [1, 3],
      [3, 4],
      [2, 4],
    ],
    [3],
  )
  const { streams } = w.host(3).links
  const carry = async (offer: StreamOffer): Promise<void> => {
    const leg = await streams.open(4, { purpose: Purpose.relay, to: 2, from: 1 }, { timeoutMs: WAIT })
    const stream = offer.accept()
    leg.pipe(stream)
    stream.pipe(leg)
    leg.once('close', () => stream.destroy())
  }
  streams.handle(Purpose.relay, (offer) => void carry(offer))
  w.relays(1).request(2, 3)
  await waitFor('1 is refused', WAIT, () => w.host(1).told.length > 0)
  t.match(w.host(1).told, [/^problem 2 3: /])
  t.same(w.host(2).told, [], 'for 2 it came from 3, whose certificate it is not')
})
