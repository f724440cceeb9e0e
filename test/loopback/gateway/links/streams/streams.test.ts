/** gateway/peers: streams between gateways on loopback, with real TLS and certificates of a real CA. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { StreamError, type StreamHead } from '../../../../../gateway/links/streams/stream-frame.ts'
import type { StreamOffer } from '../../../../../gateway/links/streams/streams.ts'
import { Alpn, tlsOptions } from '../../../../../gateway/links/tls.ts'
import type { Identity } from '../../../../../gateway/links/types.ts'
import { memberOf, type TestCluster, testCluster } from '../../../../helpers/cluster/cluster.ts'
import { endpoint, type Host, host, isUp } from '../../../../helpers/cluster/peer-hosts.ts'
import { waitFor } from '../../../../helpers/run/wait.ts'

const WAIT = 30_000
const soon = { timeoutMs: WAIT }
/** A wait that hangs is told by its own test, not by the limit of the file. */
const bounded = () => ({ signal: AbortSignal.timeout(WAIT) })

const downs = (h: Host): number => h.log.filter((line) => line.startsWith('down ')).length

interface Pair {
  readonly cluster: TestCluster
  readonly a: Host
  readonly b: Host
}

/** @param ofA the endpoints of a that b knows; by default the real one */
async function pair(t: Test, ofA?: readonly string[]): Promise<Pair> {
  const cluster = await testCluster()
  const a = await host(t, await cluster.identity(1))
  const b = await host(t, await cluster.identity(2))
  a.members.set(2, memberOf(b.identity, endpoint(b)))
  b.members.set(1, memberOf(a.identity, ...(ofA ?? [endpoint(a)])))
  a.links.refresh()
  b.links.refresh()
  await waitFor('both are up', WAIT, () => isUp(a, 2) && isUp(b, 1))
  return { cluster, a, b }
}

/** To its end and no further: `for await` would destroy a stream whose other half is open. */
async function buffer(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end', bounded())
  return Buffer.concat(chunks)
}

const text = async (stream: Duplex): Promise<string> => (await buffer(stream)).toString()

const refusal = (reason: string): StreamError => new StreamError(reason, true)

/** The next stream for `purpose` that reaches `h`. */
const nextOffer = (h: Host, purpose = 'test'): Promise<StreamOffer> =>
  new Promise((resolve) => h.links.streams.handle(purpose, resolve))

const echo = (h: Host, purpose = 'echo'): void =>
  h.links.streams.handle(purpose, (offer) => {
    const stream = offer.accept()
    stream.pipe(stream)
  })

async function roundTrip(stream: Duplex, bytes: Buffer): Promise<boolean> {
  stream.end(bytes)
  return (await buffer(stream)).equals(bytes)
}

/** A connection of a client that says what no Flatnet gateway would. */
async function knock(identity: Identity, to: Host, alpn: Alpn = Alpn.stream): Promise<TLSSocket> {
  const socket = connect({
    host: '127.0.0.1',
    port: to.links.port,
    ALPNProtocols: [alpn],
    ...tlsOptions(identity),
    checkServerIdentity: () => undefined,
  })
  socket.on('error', () => {})
  await once(socket, 'secureConnect', bounded())
  return socket
}

function frame(value: unknown): Buffer {
  const body = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

const answerOn = async (socket: TLSSocket): Promise<unknown> => {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await waitFor('it is closed', WAIT, () => socket.closed)
  const all = Buffer.concat(chunks)
  return all.length < 4 ? undefined : JSON.parse(all.subarray(4, 4 + all.readUInt32BE()).toString())
}

// The first mostly waits: the others run meanwhile.
t.jobs = 2

t.test('who is not answered hears so in time', async (t) => {
  const { a, b } = await pair(t)
  b.links.streams.handle('mute', () => {})
  await t.rejects(
    a.links.streams.open(2, { purpose: 'mute' }, { timeoutMs: 300 }),
    new StreamError('host 2 did not answer in 300 ms'),
  )
  const silent = await knock(a.identity, b)
  await Promise.all([
    t.rejects(a.links.streams.open(2, { purpose: 'mute' }, soon), refusal('not answered in time')),
    answerOn(silent).then((answer) => t.equal(answer, undefined, 'no head in 5 s: closed')),
  ])
})

t.test('bytes go both ways, opened from either side', async (t) => {
  const { a, b } = await pair(t)
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    echo(to)
    const stream = await from.links.streams.open(to.identity.hostId, { purpose: 'echo' }, soon)
    t.ok(await roundTrip(stream, Buffer.from('there and back')))
    await waitFor(
      'both have forgotten it',
      WAIT,
      () => from.links.streams.count + to.links.streams.count === 0,
    )
  }
})

t.test('the handler sees who asks and what for', async (t) => {
  const { a, b } = await pair(t)
  const offered = nextOffer(b)
  const opening = a.links.streams.open(2, { purpose: 'test', ip: '10.100.2.10', port: 80 }, soon)
  const offer = await offered
  t.equal(offer.hostId, 1)
  t.same(offer.head, { purpose: 'test', ip: '10.100.2.10', port: 80 } satisfies StreamHead)
  offer.accept().end('hello')
  t.equal(await text(await opening), 'hello')
  t.throws(() => offer.refuse('too late'), /answered already/)
})

t.test('either half ends by itself', async (t) => {
  const { a, b } = await pair(t)
  const offered = nextOffer(b)
  const opening = a.links.streams.open(2, { purpose: 'test' }, soon)
  const theirs = (await offered).accept()
  const ours = await opening
  ours.end('all that we say')
  t.equal(await text(theirs), 'all that we say')
  for (const word of ['and ', 'still ', 'heard']) {
    theirs.write(word)
    await new Promise(setImmediate)
  }
  theirs.end()
  t.equal(await text(ours), 'and still heard', 'long after our end')
  await waitFor('both are closed', WAIT, () => ours.closed && theirs.closed)
})

t.test('the side that accepted may end first', async (t) => {
  const { a, b } = await pair(t)
  const offered = nextOffer(b)
  const opening = a.links.streams.open(2, { purpose: 'test' }, soon)
  const theirs = (await offered).accept()
  const ours = await opening
  theirs.end('bye')
  t.equal(await text(ours), 'bye')
  ours.end('and now this')
  t.equal(await text(theirs), 'and now this')
})

t.test('what is broken off does not look like an end', async (t) => {
  const { a, b } = await pair(t)
  const offers: StreamOffer[] = []
  b.links.streams.handle('test', (offer) => offers.push(offer))
  for (const side of ['accepted', 'opened'] as const) {
    const opening = a.links.streams.open(2, { purpose: 'test' }, soon)
    await waitFor('it is offered', WAIT, () => offers.length > 0)
    const theirs = offers.pop()!.accept()
    const ours = await opening
    const [breaks, sees] = side === 'accepted' ? [theirs, ours] : [ours, theirs]
    let hasEnded = false
    sees.on('end', () => {
      hasEnded = true
    })
    const lost = once(sees, 'error')
    breaks.write('the first half of ')
    await once(sees, 'data')
    breaks.destroy()
    t.match(await lost, [{ code: 'ECONNRESET' }], side)
    t.notOk(hasEnded)
  }
})

t.test('32 MiB each way arrive whole, and a reader that pauses stops the writer', async (t) => {
  const { a, b } = await pair(t)
  const offered = nextOffer(b)
  const opening = a.links.streams.open(2, { purpose: 'test' }, soon)
  const theirs = (await offered).accept()
  const ours = await opening
  const piece = randomBytes(1024 * 1024)
  let written = 0
  const write = async (stream: Duplex): Promise<void> => {
    for (let i = 0; i < 32; i++) {
      if (!stream.write(piece)) await once(stream, 'drain')
      written++
    }
    stream.end()
  }
  const writing = write(ours)
  let before = -1
  await waitFor('the writer stands still', WAIT, async () => {
    const stands = written === before
    before = written
    if (!stands) await new Promise((resolve) => setTimeout(resolve, 200))
    return stands
  })
  t.ok(written < 24, `stopped after ${written} MiB`)
  const [there] = await Promise.all([buffer(theirs), writing])
  t.equal(there.length, 32 * piece.length)
  written = 0
  const [back] = await Promise.all([buffer(ours), write(theirs)])
  t.equal(back.length, 32 * piece.length)
  t.ok(back.subarray(-piece.length).equals(piece))
})

t.test('a host that cannot be dialled is asked to dial', async (t) => {
  const { a, b } = await pair(t, [])
  echo(a)
  const stream = await b.links.streams.open(1, { purpose: 'echo' }, soon)
  t.ok(await roundTrip(stream, randomBytes(300_000)))
  t.same(a.messages, [], 'no other part hears of it')
  t.notMatch(a.metrics.text(), /unknown_messages/)
  await waitFor('both have forgotten it', WAIT, () => a.links.streams.count + b.links.streams.count === 0)
})

t.test('an address that does not answer costs less than a second, and once', async (t) => {
  // Takes connections and says nothing.
  const held: { destroy(): void }[] = []
  const mute = createServer((socket) => void held.push(socket.on('error', () => {})))
  await once(mute.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of held) socket.destroy()
    mute.close()
  })
  const address = mute.address()
  const port = typeof address === 'object' ? address?.port : 0
  const { a, b } = await pair(t, [`127.0.0.1:${port}`])
  echo(a)
  const timed = async (): Promise<number> => {
    const start = performance.now()
    const stream = await b.links.streams.open(1, { purpose: 'echo' }, soon)
    const ms = performance.now() - start
    t.ok(await roundTrip(stream, Buffer.from('x')))
    return ms
  }
  t.ok((await timed()) < 1_500)
  const seen = held.length
  await timed()
  t.equal(held.length, seen, 'the way that worked goes first')
})

t.test('a host that nobody can dial, and that cannot dial, fails with both reasons', async (t) => {
  const { a, b } = await pair(t, [])
  a.members.set(2, memberOf(b.identity))
  await t.rejects(b.links.streams.open(1, { purpose: 'echo' }, soon), {
    name: 'StreamError',
    isRefusal: false,
    message: /neither host knows an address of the other/,
  })
  await t.rejects(b.links.streams.open(9, { purpose: 'echo' }, soon), /host 9 is no member/)
  t.equal(a.links.streams.count + b.links.streams.count, 0)
})

t.test('a refusal brings its reason', async (t) => {
  const { a, b } = await pair(t)
  b.links.streams.handle('test', (offer) => offer.refuse('gone'))
  const opening = a.links.streams.open(2, { purpose: 'test' }, soon)
  await t.rejects(opening, refusal('gone'))
  await t.rejects(
    a.links.streams.open(2, { purpose: 'unheard of' }, soon),
    refusal('unknown purpose "unheard of"'),
  )
  await waitFor('both have forgotten it', WAIT, () => a.links.streams.count + b.links.streams.count === 0)
})

t.test('a reason is shown only if it is text, and passed on as far as it fits', async (t) => {
  const { a, b } = await pair(t, [])
  b.links.streams.handle('long', (offer) => offer.refuse('\u0001'.repeat(1_000)))
  await t.rejects(a.links.streams.open(2, { purpose: 'long' }, soon), {
    name: 'StreamError',
    isRefusal: true,
  })
  // Where JSON says that a value has no text, String(value) throws.
  const textless = { toString: 1, valueOf: 1 }
  a.links.streams.onMessage = (_, message) => {
    if (message.type === 'stream.dial')
      a.links.send(2, { type: 'stream.failed', id: message['id'], reason: textless })
  }
  await t.rejects(b.links.streams.open(1, { purpose: 'test' }, soon), /no reason given/)
})

t.test('a revoked peer loses its streams at once and opens no more', async (t) => {
  const { a, b } = await pair(t)
  echo(b)
  const stream = await a.links.streams.open(2, { purpose: 'echo' }, soon)
  b.refused.set(1, 'revoked')
  b.links.refresh()
  stream.resume()
  await waitFor('it is cut', WAIT, () => stream.destroyed || stream.readableEnded)
  t.equal(b.links.streams.count, 0)
  await t.rejects(a.links.streams.open(2, { purpose: 'echo' }, { timeoutMs: 1_000 }), StreamError)
})

t.test('a stream outlives the control connection', async (t) => {
  const { a, b } = await pair(t)
  echo(b)
  const stream = await a.links.streams.open(2, { purpose: 'echo' }, soon)
  const since = downs(b)
  const control = await knock(a.identity, b, Alpn.control)
  // A heartbeat: a second connection of the same host takes the place of the one that stands.
  control.write(Buffer.from([0, 0, 0, 0, 3]))
  await waitFor('the first one ended', WAIT, () => downs(a) > 0)
  control.destroy()
  await waitFor('the second one ended', WAIT, () => downs(b) > since)
  t.ok(await roundTrip(stream, Buffer.from('still here')))
})

t.test('the first bytes may come with the head', async (t) => {
  const { a, b } = await pair(t)
  const offered = nextOffer(b)
  const socket = await knock(a.identity, b)
  socket.end(Buffer.concat([frame({ purpose: 'test' }), Buffer.from('early bytes')]))
  const stream = (await offered).accept()
  stream.end()
  t.equal(await text(stream), 'early bytes')
})

t.test('a head in pieces is one head', async (t) => {
  const { a, b } = await pair(t)
  const offered = nextOffer(b)
  const socket = await knock(a.identity, b)
  for (const byte of Buffer.concat([frame({ purpose: 'test' }), Buffer.from('tail')])) {
    socket.write(Buffer.from([byte]))
    await new Promise(setImmediate)
  }
  socket.end()
  const stream = (await offered).accept()
  stream.end()
  t.equal(await text(stream), 'tail')
})

t.test('what is no head is refused', async (t) => {
  const { a, b } = await pair(t)
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['too long', frame({ purpose: 'x'.repeat(4096) }), /at most|1 to 4096/],
    ['absurdly long', Buffer.from('ffffffff', 'hex'), /1 to 4096/],
    ['empty', Buffer.alloc(4), /1 to 4096/],
    ['not JSON', frame('{"purpose":'), /not JSON/],
    ['no object', frame([1]), /not an object/],
    ['no purpose', frame({ port: 80 }), /no purpose/],
  ]
  for (const [name, bytes, reason] of cases) {
    const socket = await knock(a.identity, b)
    socket.write(bytes)
    t.match(await answerOn(socket), { ok: false, reason }, name)
  }
  await t.rejects(a.links.streams.open(2, { purpose: 'x'.repeat(4096) }, soon), /at most 4096/)
  await waitFor('all are forgotten', WAIT, () => b.links.streams.count === 0)
})

t.test('an id is good once, for the host that was asked', async (t) => {
  const { cluster, a, b } = await pair(t, [])
  const c = await cluster.identity(3)
  b.members.set(3, memberOf(c))
  // a is asked and never answers itself: its part is played here.
  const ids: string[] = []
  a.links.streams.onMessage = (_, message) => {
    if (message.type === 'stream.dial') ids.push(String(message['id']))
  }
  const opening = b.links.streams.open(1, { purpose: 'test' }, soon)
  await waitFor('b has asked', WAIT, () => ids.length === 1)
  const [id] = ids
  const another = await knock(c, b)
  another.write(frame({ back: id }))
  t.match(
    await answerOn(another),
    { ok: false, reason: 'no stream waits for this connection' },
    'another host',
  )
  const right = await knock(a.identity, b)
  right.write(frame({ back: id }))
  right.write(frame({ ok: true }))
  const stream = await opening
  const replayed = await knock(a.identity, b)
  replayed.write(frame({ back: id }))
  t.match(
    await answerOn(replayed),
    { ok: false, reason: 'no stream waits for this connection' },
    'a second time',
  )
  stream.destroy()
  const expired = b.links.streams.open(1, { purpose: 'test' }, { timeoutMs: 200 })
  await t.rejects(expired, /did not answer in 200 ms/)
  const late = await knock(a.identity, b)
  late.write(frame({ back: ids[1] }))
  t.match(await answerOn(late), { ok: false, reason: 'no stream waits for this connection' }, 'too late')
  await waitFor('b has forgotten all', WAIT, () => b.links.streams.count === 0)
})

t.test('no peer has more than 1024 streams', async (t) => {
  const { a, b } = await pair(t)
  const slots = [...Array(1_024)].map(() => a.links.streams.open(2, { purpose: 'none' }, { timeoutMs: 1 }))
  await t.rejects(a.links.streams.open(2, { purpose: 'none' }, soon), /1024 streams with host 2 are open/)
  await Promise.allSettled(slots)
  t.equal(a.links.streams.count, 0)
  await waitFor('b has forgotten all', WAIT, () => b.links.streams.count === 0)
})
