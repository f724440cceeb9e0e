/** gateway/relay: two hosts out of each other's reach, joined through a third, on loopback with real TLS. */
import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { relayHosts } from '../../../../helpers/cluster/relay-hosts.ts'
import { waitFor } from '../../../../helpers/run/wait.ts'

const WAIT = 10_000

/** 1 and 2 reach 3 and not each other. */
const V = [
  [1, 3],
  [2, 3],
] as const
const DIAMOND = [...V, [1, 4], [2, 4]] as const

async function take(socket: Duplex, size: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
  })
  await waitFor(`${size} bytes have come`, WAIT, () => length >= size)
  return Buffer.concat(chunks)
}

t.test('bytes go both ways, and arrive as they were', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a, b] = await w.joined(1, 2, 3)
  const there = randomBytes(400_000)
  const back = randomBytes(300_000)
  a.write(there)
  b.write(back)
  const [atB, atA] = await Promise.all([take(b, there.length), take(a, back.length)])
  t.ok(atB.equals(there) && atA.equals(back))
  t.equal(w.relays(3).offered().freePairs, 63)
  t.match(w.host(3).metrics.text(), /^flatnet_relay_pairs 1$/m)
  const passed = Number(/^flatnet_relay_bytes_total (\d+)$/m.exec(w.host(3).metrics.text())?.[1])
  t.ok(passed > 700_000 && passed < 800_000, `${passed} bytes were counted`)
  t.match(w.host(1).metrics.text(), /^flatnet_relay_connections 1$/m)
  t.same([w.host(1).told, w.host(2).told], [['up 2 3'], ['up 1 3']])
})

t.test('both want it at once: one stays, the same at both', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  w.relays(2).request(1, 3)
  // The head start of the lower hostId is over.
  w.time.run(300)
  const heard = new Map<Duplex, number>()
  const hears = (socket: Duplex): boolean => {
    if (!heard.has(socket)) {
      heard.set(socket, 0)
      socket.on('data', (chunk: Buffer) => heard.set(socket, (heard.get(socket) ?? 0) + chunk.length))
    }
    return heard.get(socket) !== 0
  }
  await waitFor('each hears the other', WAIT, async () => {
    const ends = await w.joined(1, 2, 3)
    for (const end of ends) end.write('x')
    return ends.map(hears).every(Boolean)
  })
  for (const host of [1, 2]) t.match(w.host(host).metrics.text(), /^flatnet_relay_connections 1$/m)
  t.equal(w.relays(3).offered().freePairs, 63)
  t.ok(w.isUsable(1, 2, 3) && w.isUsable(2, 1, 3))
})

t.test('another relay takes over before the first is let go', async (t) => {
  const w = await relayHosts(t, DIAMOND)
  w.relays(1).request(2, 3)
  await w.joined(1, 2, 3)
  w.relays(1).request(2, 4)
  const [a] = await w.joined(1, 2, 4)
  const [old] = await w.joined(1, 2, 3)
  t.notOk(old.destroyed, 'what is on its way still comes')
  t.same(w.host(1).told, ['up 2 3', 'up 2 4'])
  w.time.run(5_000)
  await waitFor('both have let go', WAIT, () => w.host(2).told.length === 3)
  t.equal(w.host(1).told[2], 'down 2 3: not used any more')
  t.match(w.host(2).told[2], /^down 1 3: /)
  t.notOk(a.destroyed)
  await waitFor('the pair is free', WAIT, () => w.relays(3).offered().freePairs === 64)
  t.ok(w.isUsable(2, 1, 3), 'that was no failure')
})

t.test('the first stays while the second cannot be had', async (t) => {
  const w = await relayHosts(t, [...V, [1, 4]])
  w.relays(1).request(2, 3)
  const [a] = await w.joined(1, 2, 3)
  w.relays(1).request(2, 4)
  await waitFor('the other has failed', WAIT, () => !w.isUsable(1, 2, 4))
  w.time.run(8_000)
  t.notOk(a.destroyed)
  w.relays(1).request(2, 3)
  t.equal((await w.joined(1, 2, 3))[0], a, 'and is still the one')
})

t.test('no longer wanted: it stays 5 s, and for good when it is wanted again', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a] = await w.joined(1, 2, 3)
  w.relays(1).release(2)
  w.time.run(4_000)
  w.relays(1).request(2, 3)
  w.time.run(20_000)
  t.notOk(a.destroyed)
  w.relays(1).release(2)
  w.relays(2).release(1)
  w.time.run(5_000)
  await waitFor(
    'it is gone',
    WAIT,
    () => w.host(2).told.length === 2 && w.relays(3).offered().freePairs === 64,
  )
  t.same(w.host(1).told, ['up 2 3', 'down 2 3: not used any more'])
})

t.test('the end that wants it makes it anew when the other lets go', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a] = await w.joined(1, 2, 3)
  w.relays(2).request(1, 3)
  w.relays(1).release(2)
  w.time.run(5_000)
  await waitFor('the first is gone', WAIT, () => a.destroyed)
  const [, b] = await w.joined(1, 2, 3)
  b.write('still here')
  t.equal((await take((await w.joined(1, 2, 3))[0], 10)).toString(), 'still here')
  t.notOk(w.host(2).told.some((told) => told.startsWith('problem')))
})

t.test('a relay that dies is left out for 10 s', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  await w.joined(1, 2, 3)
  await w.host(3).links.stop()
  await waitFor('both know', WAIT, () => w.host(1).told.length >= 3 && w.host(2).told.length >= 2)
  t.match(w.host(1).told, ['up 2 3', /^down 2 3: /, /^problem 2 3: /])
  t.match(w.host(2).told, ['up 1 3', /^down 1 3: /])
  t.notOk(w.isUsable(1, 2, 3))
  t.ok(w.isUsable(1, 2, 4))
  w.relays(1).release(2)
  w.time.run(9_000)
  t.notOk(w.isUsable(1, 2, 3))
  w.time.run(1_000)
  t.ok(w.isUsable(1, 2, 3))
})

t.test('a relay whose link came up is usable at once', async (t) => {
  const w = await relayHosts(t, [...V, [1, 4]])
  w.relays(1).request(2, 4)
  await waitFor('it has refused', WAIT, () => !w.isUsable(1, 2, 4))
  t.equal(w.relays(1).problem(2, 4), 'it has no link to host 2')
  w.relays(1).linkUp(4)
  t.ok(w.isUsable(1, 2, 4))
})

t.test('a host without a tunnel takes no relayed connection, and says why', async (t) => {
  const w = await relayHosts(t, V)
  w.host(2).state.noTunnel = 'no TUN device'
  w.relays(1).request(2, 3)
  await waitFor('it is refused', WAIT, () => !w.isUsable(1, 2, 3))
  t.equal(w.relays(1).problem(2, 3), 'host 2 was not reached: it carries no packets (no TUN device)')
})

t.test('a host that has switched relays off takes no relayed connection, and says so', async (t) => {
  const w = await relayHosts(t, V)
  w.host(2).state.takesRelays = false
  w.relays(1).request(2, 3)
  await waitFor('it is refused', WAIT, () => !w.isUsable(1, 2, 3))
  const reason = 'host 2 was not reached: it takes no relayed connection (paths.tiers.relay.enabled)'
  t.equal(w.relays(1).problem(2, 3), reason)
})

t.test('a connection that stood is made again before its relay is given up', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a, b] = await w.joined(1, 2, 3)
  w.time.run(5_000)
  b.end()
  await waitFor('it is gone', WAIT, () => a.destroyed)
  await w.joined(1, 2, 3)
  t.match(w.host(1).told, ['up 2 3', /^down/, 'up 2 3'])
})

t.test('one through which nothing comes is its fault of its relay', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a] = await w.joined(1, 2, 3)
  w.time.run(5_000)
  a.destroy(new Error('silent for 3 s'))
  await waitFor('it is known', WAIT, () => w.host(1).told.length >= 3)
  const told = ['up 2 3', 'down 2 3: silent for 3 s', 'problem 2 3: silent for 3 s']
  t.same(w.host(1).told.slice(0, 3), told)
  await w.joined(1, 2, 3)
  t.ok(w.isUsable(1, 2, 3), 'it is tried on, and when it works it is usable')
  t.same(w.host(1).told, [...told, 'up 2 3', 'problem 2 3: none'])
})

t.test('one that stood is left out for 1 s where it is not wanted any more', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a] = await w.joined(1, 2, 3)
  w.time.run(5_000)
  a.destroy(new Error('silent for 3 s'))
  // In the very turn of the loop, or it is made again first.
  for (const until = performance.now() + WAIT; w.host(1).told.length < 3 && performance.now() < until; )
    await turn()
  w.relays(1).release(2)
  t.notOk(w.isUsable(1, 2, 3), 'another relay is chosen meanwhile')
  w.time.run(1_000)
  t.ok(w.isUsable(1, 2, 3), 'the only one there is comes back')
})

t.test('a host that is revoked is cut off, at the end and in the middle', async (t) => {
  const w = await relayHosts(t, V)
  w.relays(1).request(2, 3)
  const [a] = await w.joined(1, 2, 3)
  w.host(1).refused.set(2, 'revoked')
  w.relays(1).refresh()
  t.ok(a.destroyed)
  t.same(w.host(1).told, ['up 2 3', 'down 2 3: revoked'])
  w.host(1).refused.clear()
  w.relays(1).release(2)
  w.relays(1).request(2, 3)
  const [again] = await w.joined(1, 2, 3)
  w.host(3).refused.set(2, 'revoked')
  w.host(3).links.refresh()
  await waitFor(
    'the relay has ended it',
    WAIT,
    () => again.destroyed && w.relays(3).offered().freePairs === 64,
  )
  await waitFor('it does not begin again', WAIT, () => !w.isUsable(1, 2, 3))
})
