/** gateway/links: links between gateways on loopback, with real TLS and certificates of a real CA. */
import { X509Certificate } from 'node:crypto'
import { createServer, type Socket, connect as tcp } from 'node:net'
import { connect } from 'node:tls'
import t from 'tap'
import type { Links } from '../../../../gateway/links/links.ts'
import { Alpn, tlsOptions } from '../../../../gateway/links/tls.ts'
import type { Identity } from '../../../../gateway/links/types.ts'
import { memberOf, testCluster } from '../../../helpers/cluster/cluster.ts'
import { endpoint, host, introduce, isUp, pair, WAIT } from '../../../helpers/cluster/peer-hosts.ts'
import { waitFor } from '../../../helpers/run/wait.ts'

// The first two mostly wait: the others run meanwhile.
t.jobs = 3

t.test(
  'a second machine with the key of a peer that is linked is heard, and does not dial without a pause',
  async (t) => {
    const cluster = await testCluster()
    const [a, b] = await pair(t, cluster, 'a dials')
    const clone = await host(t, b.identity, 0, { type: 'test.hello', from: 'clone' })
    clone.members.set(1, memberOf(a.identity, endpoint(a)))
    clone.links.refresh()
    await waitFor('it was heard twice', WAIT, () => a.rivals.length >= 2)
    const from = performance.now()
    await waitFor('and again', WAIT, () => a.rivals.length >= 3)
    t.ok(performance.now() - from > 1_000)
    for (const message of a.rivals) t.same(message, { type: 'test.hello', from: 'clone' })
    t.same([a.log, b.log], [['up 2'], ['up 1']], 'the link that stands is not touched')
    t.match(clone.log.slice(0, 2), ['up 1', /^down 1: (?:connection closed|read ECONNRESET)$/])
    await b.links.stop()
    const left = performance.now()
    const ups = (): number => a.log.filter((line) => line === 'up 2').length
    await waitFor('a waiting connection takes the place of one that is gone', WAIT, () => ups() === 2)
    t.ok(performance.now() - left < 1_500, 'at once')
  },
)

t.test('a silent peer is dead after three seconds', async (t) => {
  const cluster = await testCluster()
  const a = await host(t, await cluster.identity(1))
  const b = await host(t, await cluster.identity(2))
  const held: Socket[] = []
  let isFrozen = false
  // A wire between them that can be cut without a word to either end.
  const wire = createServer((client) => {
    const server = tcp({ host: '127.0.0.1', port: b.links.port })
    held.push(client, server)
    client.on('data', (chunk) => isFrozen || server.write(chunk))
    server.on('data', (chunk) => isFrozen || client.write(chunk))
    for (const socket of [client, server]) socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => {
    wire.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    for (const socket of held) socket.destroy()
    wire.close()
  })
  const address = wire.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  a.members.set(2, memberOf(b.identity, `127.0.0.1:${port}`))
  b.members.set(1, memberOf(a.identity))
  a.links.refresh()
  await waitFor('both are up', WAIT, () => isUp(a, 2) && isUp(b, 1))
  isFrozen = true
  const start = performance.now()
  await waitFor('both have noticed', WAIT, () => !isUp(a, 2) && !isUp(b, 1))
  t.ok(performance.now() - start < 6_000, 'within the heartbeat bound and a beat')
  t.match(b.log, ['up 1', /^down 1: no sign of life/])
})

t.test('both ends of a link make the same key, and another one for another context', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  const key = (links: Links, peer: number, context: string): string =>
    links.get(peer)?.exportKey(64, 'EXPORTER-test', Buffer.from(context))?.toString('hex') ?? 'none'
  t.equal(key(a.links, 2, 'x'), key(b.links, 1, 'x'))
  t.equal(key(a.links, 2, 'x').length, 128)
  t.not(key(a.links, 2, 'x'), key(a.links, 2, 'y'))
  t.same(a.links.get(2)?.addresses, { local: '127.0.0.1', remote: '127.0.0.1' })
  await waitFor('round trips were measured', WAIT, () => a.links.view(2)?.rttMs !== undefined)
  t.ok((a.links.view(2)?.jitterMs ?? -1) >= 0)
  t.equal(key(a.links, 9, 'x'), 'none')
  t.equal(a.links.get(9), undefined)
  const { validToDate } = new X509Certificate(b.identity.certPem)
  t.equal(a.links.get(2)?.peerValidTo, validToDate.getTime())
})

t.test('two gateways find each other, talk, and measure the way', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  t.ok(a.links.send(2, { type: 'test.hello', n: 1 }))
  t.equal(b.links.broadcast({ type: 'test.answer', text: 'x'.repeat(1_000_000) }), 1)
  await waitFor('both have heard', WAIT, () => a.messages.length === 1 && b.messages.length === 1)
  t.same(b.messages, [{ type: 'test.hello', n: 1 }])
  t.equal(String(a.messages[0]?.['text']).length, 1_000_000)
  await waitFor('a round trip was measured', WAIT, () => a.links.view(2)?.rttMs !== undefined)
  t.match(a.links.views(), [{ hostId: 2, state: 'up', hasData: true }])
  const got = new Promise<string>((resolve) => {
    b.data.get(1)?.once('data', (chunk: Buffer) => resolve(chunk.toString()))
  })
  a.data.get(2)?.write('bulk')
  t.equal(await got, 'bulk', 'the data connection is separate and theirs')
})

t.test('a message on which its reader fails is logged, and ends neither gateway nor link', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  a.links.send(2, { type: 'test.fault' })
  a.links.send(2, { type: 'test.hello' })
  await waitFor('the next one is heard', WAIT, () => b.messages.length === 1)
  t.ok(b.told.includes('message of a peer failed'), b.told.join())
  t.equal(b.links.view(1)?.state, 'up')
})

t.test('a message that no part handles is counted, and logged once a minute', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  for (const type of ['future.hello', 'testing.hello', 'test', 'future.\u001b[2J'])
    t.ok(a.links.send(2, { type }))
  a.links.send(2, { type: 'test.hello' })
  await waitFor('the known one is heard', WAIT, () => b.messages.length === 1)
  t.match(b.metrics.text(), /^flatnet_peer_unknown_messages_total\{host="1"\} 4$/m)
  t.same(
    b.told.filter((event) => event === 'unknown message of a peer was dropped'),
    ['unknown message of a peer was dropped'],
  )
  t.equal(b.links.view(1)?.state, 'up')
})

t.test('a newcomer does not disturb links that stand', async (t) => {
  const cluster = await testCluster()
  const [a, b] = await pair(t, cluster)
  const [dataA, dataB] = [a.data.get(2), b.data.get(1)]
  const third = await host(t, await cluster.identity(3))
  introduce(a, third)
  introduce(b, third)
  await waitFor('the newcomer is linked', WAIT, () => isUp(third, 1) && isUp(third, 2))
  a.links.refresh()
  b.links.refresh()
  third.links.refresh()
  t.ok(a.links.send(2, { type: 'test.after' }))
  await waitFor('b has heard', WAIT, () => b.messages.length === 1)
  // The side that dials again does so within the 250 ms that the side with the higher hostId waits.
  await new Promise((resolve) => setTimeout(resolve, 600))
  t.same(a.log, ['up 2', 'up 3'])
  t.same(b.log, ['up 1', 'up 3'])
  t.equal(a.data.get(2), dataA, 'the data connection is the same')
  t.equal(b.data.get(1), dataB)
})

t.test('one that nobody can reach connects by itself', async (t) => {
  const cluster = await testCluster()
  const [a, b] = await pair(t, cluster, 'a dials')
  t.equal(a.links.view(2)?.state, 'up')
  t.equal(b.links.view(1)?.state, 'up')
})

t.test('a gateway that stops is noticed, and found again', async (t) => {
  const cluster = await testCluster()
  const [a, b] = await pair(t, cluster)
  const port = b.links.port
  await b.links.stop()
  await waitFor('a sees it go', WAIT, () => a.links.view(2)?.state === 'down')
  t.notOk(a.data.has(2), 'its data connection went with it')
  t.notOk(a.links.send(2, { type: 'test.lost' }), 'nothing can be sent')
  const again = await host(t, b.identity, port)
  again.members.set(1, memberOf(a.identity, endpoint(a)))
  again.links.refresh()
  await waitFor('both are up again', WAIT, () => isUp(a, 2) && isUp(again, 1))
  t.match(a.log, ['up 2', /^down 2: /, 'up 2'])
})

t.test('who is not welcome stays out', async (t) => {
  const cluster = await testCluster()
  const a = await host(t, await cluster.identity(1))
  const alien = await (await testCluster('testing')).identity(2)
  const wrongName = await (await testCluster('another')).identity(2)
  const clone = await cluster.identity(2)
  const real = await cluster.identity(2)
  a.members.set(2, memberOf(real))
  const knock = (identity: Identity | undefined, alpn: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({
        host: '127.0.0.1',
        port: a.links.port,
        ALPNProtocols: [alpn],
        ...(identity && tlsOptions(identity)),
        rejectUnauthorized: false,
      })
      socket.setTimeout(WAIT, () => socket.destroy())
      socket.on('error', () => {})
      socket.on('data', () => resolve('heard'))
      socket.on('close', () => resolve('closed'))
    })
  t.equal(await knock(alien, Alpn.control), 'closed', 'a certificate of another CA')
  t.equal(await knock(wrongName, Alpn.control), 'closed', 'another cluster')
  t.equal(await knock(clone, Alpn.control), 'closed', 'another key for a hostId that is held')
  t.equal(await knock(await cluster.identity(9), Alpn.control), 'closed', 'a host that is no member')
  t.equal(await knock(await cluster.identity(1), Alpn.control), 'closed', 'one that says it is us')
  t.equal(await knock(undefined, Alpn.control), 'closed', 'nobody at all')
  t.equal(await knock(undefined, Alpn.join), 'closed', 'a newcomer where nobody may join')
  t.equal(await knock(real, Alpn.control), 'heard', 'the real one comes in')
})

t.test('a revoked peer is cut off at once and stays out', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  a.refused.set(2, 'revoked')
  a.links.refresh()
  await waitFor('b is out', WAIT, () => b.links.view(1)?.state !== 'up')
  t.equal(a.links.view(2), undefined)
  t.match(a.log, ['up 2', 'down 2: revoked'])
  const seen = a.log.length
  b.links.retryNow()
  await waitFor('b has tried again', WAIT, () => b.log.filter((line) => line.startsWith('down')).length > 0)
  t.equal(a.log.length, seen, 'a never let it in')
})

t.test('a host that its peer refuses is told so, not that nothing was tried', async (t) => {
  const cluster = await testCluster()
  const a = await host(t, await cluster.identity(1))
  const b = await host(t, await cluster.identity(2))
  b.members.set(1, memberOf(a.identity, endpoint(a)))
  b.links.refresh()
  await waitFor('the reason', WAIT, () => /after the handshake/.test(b.links.view(1)?.reason ?? ''))
  t.match(b.links.view(1), { state: 'connecting', reason: /refuses this host/ })
})

t.test('an address that belongs to another host now leads nowhere', async (t) => {
  const cluster = await testCluster()
  const a = await host(t, await cluster.identity(1))
  const c = await host(t, await cluster.identity(3))
  a.members.set(2, memberOf(await cluster.identity(2), endpoint(c)))
  a.links.refresh()
  await waitFor('the reason is told', WAIT, () => /is host 3, not host 2/.test(a.links.view(2)?.reason ?? ''))
  t.equal(a.links.view(2)?.state, 'connecting')
})

t.test(
  'a machine with another key for a hostId gets no link, whichever side dials, and is reported',
  async (t) => {
    const cluster = await testCluster()
    const a = await host(t, await cluster.identity(1))
    const real = memberOf(await cluster.identity(2))
    const rival = await host(t, await cluster.identity(2))
    const rivalKey = memberOf(rival.identity).keyId
    rival.members.set(1, memberOf(a.identity))
    // The address that host 2 once had is the rival's.
    a.members.set(2, { ...real, endpoints: [endpoint(rival)] })
    a.links.refresh()
    await waitFor('it was dialled', WAIT, () =>
      /another key holds host 2/.test(a.links.view(2)?.reason ?? ''),
    )
    t.match(a.turnedAway, [{ hostId: 2, keyId: rivalKey, endpoint: endpoint(rival), isDuplicate: true }])
    t.same([a.log, rival.log], [[], []], 'no link came up on either side')

    // The other way round: it dials us.
    const seen = a.turnedAway.length
    rival.members.set(1, memberOf(a.identity, endpoint(a)))
    rival.links.retryNow()
    rival.links.refresh()
    await waitFor('it has dialled twice', WAIT, () => {
      rival.links.retryNow()
      return a.turnedAway.slice(seen).filter((r) => r.endpoint === '127.0.0.1').length >= 2
    })
    t.same(a.log, [], 'it was never let in')
    t.equal(a.told.filter((event) => event === 'peer refused').length, 1, 'the log says so once')
  },
)

t.test(
  'of many addresses those that nobody answers cost a moment, at the first link and at each later one',
  async (t) => {
    const cluster = await testCluster()
    const a = await host(t, await cluster.identity(1))
    const b = await host(t, await cluster.identity(2))
    let knocks = 0
    const taken = new Set<Socket>()
    // It takes connections and says nothing, as a firewall that drops would.
    const mute = createServer((socket) => {
      knocks++
      taken.add(socket.on('error', () => {}))
    })
    await new Promise<void>((resolve) => {
      mute.listen(0, '127.0.0.1', resolve)
    })
    t.teardown(() => {
      for (const socket of taken) socket.destroy()
      mute.close()
    })
    const address = mute.address()
    const port = typeof address === 'object' ? address?.port : 0
    const dead = ['localhost', '127.0.0.2', '127.0.0.1'].map((place) => `${place}:${port}`)
    a.members.set(2, memberOf(b.identity, ...dead, endpoint(b)))
    b.members.set(1, memberOf(a.identity))
    let from = performance.now()
    a.links.refresh()
    await waitFor('both are up', WAIT, () => isUp(a, 2) && isUp(b, 1))
    t.ok(performance.now() - from < 4_000, `${Math.round(performance.now() - from)} ms`)
    t.ok(knocks > 0, 'they were tried')

    from = performance.now()
    const { port: place } = b.links
    await b.links.stop()
    const again = await host(t, b.identity, place)
    again.members.set(1, memberOf(a.identity))
    again.links.refresh()
    await waitFor('both are up again', WAIT, () => isUp(a, 2) && isUp(again, 1))
    t.ok(performance.now() - from < 3_000, `${Math.round(performance.now() - from)} ms`)
  },
)

t.test('strangers that connect and say nothing are bounded, and trouble no link', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  const mute = new Set<Socket>()
  let closed = 0
  for (let n = 0; n < 300; n++) {
    const socket = tcp({ host: '127.0.0.1', port: a.links.port })
    mute.add(socket.on('error', () => {}))
    socket.once('close', () => closed++)
  }
  t.teardown(() => {
    for (const socket of mute) socket.destroy()
  })
  const from = performance.now()
  await waitFor('what is too much is closed at once', WAIT, () => closed >= 300 - 256)
  t.ok(performance.now() - from < 4_000, 'not when the time for a handshake is over')
  t.equal(closed, 300 - 256)
  t.same([a.log, b.log], [['up 2'], ['up 1']])
  for (const socket of mute) socket.destroy()
  await waitFor('there is room again', WAIT, () => closed === 300)
  await b.links.stop()
  const again = await host(t, b.identity)
  again.members.set(1, memberOf(a.identity, endpoint(a)))
  again.links.refresh()
  await waitFor('it is let in', WAIT, () => isUp(again, 1))
})
