/** gateway/relay: the gateway in the middle, with streams in memory and a time of its own. */
import { type Duplex, duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { RelayConf } from '../../../../../conf/relay.ts'
import { silentLog } from '../../../../../core/log.ts'
import { Metrics } from '../../../../../gateway/base/metrics.ts'
import { RelayLimit } from '../../../../../gateway/dataplane/relay/limits.ts'
import { Purpose } from '../../../../../gateway/dataplane/relay/purpose.ts'
import { RelayServer } from '../../../../../gateway/dataplane/relay/server.ts'
import { StreamError, type StreamHead } from '../../../../../gateway/links/streams/stream-frame.ts'
import { turnsUntil } from '../../../../helpers/run/turns.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

const OWN = 250
const PAIRS = 64
function simulation(given: Partial<RelayConf> = {}) {
  const time = new SimTime()
  const metrics = new Metrics()
  /** What was opened to a host, and its far end. */
  const legs: { to: number; head: StreamHead; far: Duplex }[] = []
  const state = {
    unlinked: new Set<number>(),
    refused: new Map<number, string>(),
    /** Why a leg cannot be opened. */
    fault: undefined as string | undefined,
    /** Legs wait until it resolves. */
    gate: Promise.resolve(),
  }
  const middle = new RelayServer({
    conf: { volunteer: true, maxPairs: PAIRS, ...given },
    ownHostId: () => OWN,
    membership: {
      members: () => Array.from({ length: 100 }, (_, i) => ({ hostId: i + 1, keyId: 'k', endpoints: [] })),
      refusal: (hostId) => state.refused.get(hostId),
    },
    streams: {
      handle() {},
      async open(to, head) {
        await state.gate
        if (state.fault !== undefined) throw new StreamError(state.fault)
        const [near, far] = duplexPair()
        legs.push({ to, head, far })
        return near
      },
    },
    scheduler: time.scheduler(() => 0),
    metrics,
    log: silentLog,
    isLinked: (hostId) => !state.unlinked.has(hostId),
  })
  /** @returns the end of the host that asked, or why not */
  const ask = async (from: number, to: unknown): Promise<Duplex | string> => {
    const [near, far] = duplexPair()
    let refusal: string | undefined
    await middle.accept({
      hostId: from,
      head: { purpose: Purpose.relay, to },
      accept: () => near,
      refuse(reason) {
        refusal = reason
      },
    })
    return refusal ?? far
  }
  const join = async (from: number, to: number): Promise<[Duplex, Duplex]> => {
    const near = await ask(from, to)
    const leg = legs.at(-1)
    if (typeof near === 'string' || leg === undefined) throw new Error(String(near))
    return [near, leg.far]
  }
  return { time, metrics, legs, state, middle, ask, join }
}

/** Counts what comes; reading begins at once. */
function counter(stream: Duplex): () => number {
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  return () => bytes
}

t.test('who is joined with whom, and who is not', async (t) => {
  const sim = simulation()
  sim.state.unlinked.add(3)
  sim.state.refused.set(4, 'revoked')
  const cases: [from: number, to: unknown, reason: RegExp][] = [
    [1, OWN, /no host to relay to/],
    [1, 1, /no host to relay to/],
    [1, '2', /no host to relay to/],
    [1, undefined, /no host to relay to/],
    [1, 101, /host 101 is no member/],
    [1, 3, /it has no link to host 3/],
    [1, 4, /host 4: revoked/],
    [4, 2, /host 4: revoked/],
  ]
  for (const [from, to, reason] of cases) t.match(await sim.ask(from, to), reason, `${from} to ${to}`)
  t.equal(sim.legs.length, 0, 'nobody was troubled')
  sim.state.fault = 'no route'
  t.match(await sim.ask(1, 2), /host 2 was not reached: no route/)
  t.equal(sim.middle.offered.freePairs, PAIRS)
  t.match(sim.metrics.text(), /^flatnet_relay_refused_total 9$/m)
  sim.state.fault = undefined
  await sim.join(1, 2)
  t.match(sim.legs, [{ to: 2, head: { purpose: 'relayed', from: 1 } }])
})

t.test('64 pairs and no more, of one host half of them', async (t) => {
  const sim = simulation()
  const first = await sim.join(1, 2)
  for (let host = 3; host < 2 + PAIRS / 2; host++) await sim.join(host % 2 ? 1 : host, host % 2 ? host : 1)
  t.match(await sim.ask(1, 90), /32 pairs of host 1, and no more/)
  t.match(await sim.ask(90, 1), /32 pairs of host 1, and no more/)
  for (let host = 40; sim.middle.offered.freePairs > 0; host++) await sim.join(host, host + 1)
  t.match(await sim.ask(98, 99), /it relays 64 pairs, and no more/)
  await sim.join(2, 1)
  t.equal(sim.middle.offered.freePairs, 0, 'a pair that it carries may be opened from the other end')
  t.notOk(first[0].destroyed)
  first[0].destroy()
  await turn()
  t.equal(sim.middle.offered.freePairs, 0)
  sim.middle.stop()
  t.equal(sim.middle.offered.freePairs, PAIRS)
  t.match(await sim.ask(1, 2), /the relay stops/)
})

t.test('a gateway that is about to stop carries on for a moment, and takes on nothing more', async (t) => {
  const sim = simulation()
  await sim.middle.drain()
  const other = simulation()
  const [near] = await other.join(1, 2)
  let isDone = false
  const done = other.middle.drain().then(() => {
    isDone = true
  })
  t.match(await other.ask(3, 4), /the relay stops/)
  other.time.run(RelayLimit.moveMs - 1)
  await turn()
  t.same([isDone, near.destroyed], [false, false])
  other.time.run(1)
  await done
  t.notOk(near.destroyed)
})

t.test('who asks too often is refused for a while, others are not', async (t) => {
  const sim = simulation()
  sim.state.fault = 'no route'
  const answers: string[] = []
  for (let i = 0; i < RelayLimit.asksBurst + 10; i++) answers.push(String(await sim.ask(1, 2)))
  const refused = (): number => answers.filter((answer) => answer === 'asked too often').length
  t.equal(refused(), 9, 'one is lent')
  t.match(await sim.ask(3, 2), /no route/)
  sim.time.run(1_000)
  for (let i = 0; i < 10; i++) answers.push(String(await sim.ask(1, 2)))
  t.equal(refused(), 9 + 10 - RelayLimit.asksPerS)
})

t.test('a host that does not volunteer refuses, and one with few places is soon full', async (t) => {
  t.match(await simulation({ volunteer: false }).ask(1, 2), /does not relay for others \(relay\.volunteer\)/)
  const few = simulation({ maxPairs: 3 })
  await few.join(1, 2)
  await few.join(1, 3)
  t.match(await few.ask(1, 4), /it relays 2 pairs of host 1, and no more/)
  await few.join(5, 6)
  t.match(await few.ask(7, 8), /it relays 3 pairs, and no more/)
})

t.test('pairs count while they are being opened', async (t) => {
  const sim = simulation()
  const gate = Promise.withResolvers<void>()
  sim.state.gate = gate.promise
  const asked = Array.from({ length: PAIRS + 1 }, (_, i) => sim.ask(i + 1, i + 2))
  t.equal(sim.middle.offered.freePairs, 0)
  t.match(await asked.at(-1), /it relays 64 pairs/)
  gate.resolve()
  const answers = await Promise.all(asked.slice(0, -1))
  t.ok(answers.every((a) => typeof a !== 'string'))
})

t.test('an end that asks again has lost what it had', async (t) => {
  const sim = simulation()
  const [near, far] = await sim.join(1, 2)
  const ended = counter(near)
  const gate = Promise.withResolvers<void>()
  sim.state.gate = gate.promise
  const second = sim.ask(1, 2)
  await turnsUntil(
    'the first is ended',
    () => near.readableEnded || near.destroyed || far.destroyed || far.readable === false,
  )
  const third = sim.ask(1, 2)
  gate.resolve()
  t.equal(await second, 'opened anew')
  t.not(typeof (await third), 'string')
  t.equal(sim.middle.offered.freePairs, PAIRS - 1)
  t.equal(ended(), 0)
})

t.test('either end ends both, in order, and the pair is free', async (t) => {
  const sim = simulation()
  for (const which of [0, 1] as const) {
    const ends = await sim.join(1, 2)
    const [one, other] = [ends[which], ends[1 - which]!]
    const got = counter(other)
    one.end('the last words')
    await turnsUntil('the other end has all of it', () => other.readableEnded && got() === 14)
    t.equal(sim.middle.offered.freePairs, PAIRS - 1)
    one.resume()
    other.end()
    await turnsUntil('the pair is free', () => sim.middle.offered.freePairs === PAIRS)
  }
  const [near, far] = await sim.join(1, 2)
  near.end()
  far.resume()
  await turnsUntil('the other end knows', () => far.readableEnded)
  sim.time.run(1_000)
  t.equal(sim.middle.offered.freePairs, PAIRS, 'one that does not close is not waited for')
})

t.test('five minutes without a byte end it, one byte is enough to stay', async (t) => {
  const sim = simulation()
  const [near, far] = await sim.join(1, 2)
  const got = counter(far)
  sim.time.run(RelayLimit.idleMs - 1_000)
  near.write('x')
  await turnsUntil('it has passed', () => got() === 1)
  sim.time.run(RelayLimit.idleMs - 1_000)
  t.equal(sim.middle.offered.freePairs, PAIRS - 1)
  sim.time.run(1_000)
  t.equal(sim.middle.offered.freePairs, PAIRS)
})

t.test('a burst of 1 MB, then 50 Mbit/s for both directions together', async (t) => {
  const sim = simulation()
  const [near, far] = await sim.join(1, 2)
  const toFar = counter(far)
  const toNear = counter(near)
  const total = (): number => toFar() + toNear()
  const chunk = Buffer.alloc(16_384)
  for (const from of [near, far]) {
    const fill = (): void => {
      while (from.write(chunk));
      from.once('drain', fill)
    }
    fill()
  }
  /** What is on its way without any time passing. */
  const settle = async (): Promise<void> => {
    for (let before = -1; before !== total(); ) {
      before = total()
      for (let i = 0; i < 8; i++) await turn()
    }
  }
  await settle()
  const burst = total()
  t.ok(burst >= RelayLimit.burstBytes && burst < RelayLimit.burstBytes + 200_000, `${burst} bytes at once`)
  for (let ms = 0; ms < 1_000; ms++) {
    sim.time.run(1)
    await settle()
  }
  const second = total() - burst
  t.ok(
    second > 0.95 * RelayLimit.bytesPerS && second < 1.05 * RelayLimit.bytesPerS,
    `${second} bytes in a second`,
  )
  const share = toNear() / total()
  t.ok(share > 0.3 && share < 0.7, `neither direction starves the other: ${share}`)
})

t.test('an end that does not read holds up its own pair alone, and little of it', async (t) => {
  const sim = simulation()
  const [near, far] = await sim.join(1, 2)
  let written = 0
  const fill = (): void => {
    for (let more = true; more; written += 16_384) more = near.write(Buffer.alloc(16_384))
    near.once('drain', fill)
  }
  fill()
  for (let i = 0; i < 100; i++) {
    sim.time.run(100)
    await turn()
  }
  t.ok(written < 400_000, `${written} bytes were taken`)
  const [other, end] = await sim.join(3, 4)
  const got = counter(end)
  other.write('x')
  await turnsUntil('another pair goes on', () => got() === 1)
  const late = counter(far)
  await turnsUntil('and this one when it is read', () => {
    sim.time.run(10)
    return late() > 1_000_000
  })
  t.pass()
})
