/** Which idle connection a request gets, and when one may carry a request that goes once. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { UpstreamConnection } from '../../../../../gateway/ingress/upstream/connection.ts'
import { IdleConnections } from '../../../../../gateway/ingress/upstream/idle-connections.ts'
import { until } from '../../../../helpers/gateway/gateway-upstream.ts'

/** A connection and the server's end of it. */
async function pair(t: Test): Promise<{ connection: UpstreamConnection; far: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  const accepted = once(server, 'connection')
  const connection = new UpstreamConnection(`127.0.0.1:${port}`, true)
  const near = connect({ port, host: '127.0.0.1', onread: connection.onread })
  await once(near, 'connect')
  connection.attach(near)
  const [far] = await accepted
  t.teardown(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return { connection, far }
}

t.test('how long after its last answer', async (t) => {
  const cases = [
    { promisedS: undefined, post: 999, get: 3999 },
    { promisedS: 60, post: 999, get: 3999 },
    { promisedS: 2, post: 999, get: 1599 },
    { promisedS: 1, post: 499, get: 799 },
  ]
  for (const { promisedS, post, get } of cases) {
    for (const [isRepeatable, last] of [
      [true, get],
      [false, post],
    ] as const) {
      const { connection } = await pair(t)
      const idle = new IdleConnections()
      idle.keep(connection, 10_000, promisedS)
      t.equal(idle.reserve(10_000 + last, isRepeatable), connection, `${promisedS} s promised, ${last} ms`)
      idle.keep(connection, 10_000, promisedS)
      t.equal(idle.reserve(10_000 + last + 1, isRepeatable), undefined, `${last + 1} ms`)
    }
  }
})

t.test('an end or bytes that the event loop has not heard of yet', async (t) => {
  for (const disturb of [
    (far: Socket) => far.destroy(),
    (far: Socket) => far.write('HTTP/1.1 408 \r\n\r\n'),
  ]) {
    const { connection, far } = await pair(t)
    const other = await pair(t)
    const idle = new IdleConnections()
    const now = performance.now()
    idle.keep(connection, now, undefined)
    idle.keep(other.connection, now, undefined)
    disturb(far)
    t.equal(connection.isUsable, true, 'the event loop has not')
    t.equal(idle.reserve(now + 1, false), undefined, 'nor any other of this server for now')
    t.equal(idle.reserve(now + 1, true), other.connection)
    idle.keep(other.connection, now + 60_000, undefined)
    t.equal(idle.reserve(now + 60_002, false), other.connection, 'a minute later it is trusted again')
  }
})

t.test('an idle connection that ends early takes the trust away, a late one does not', async (t) => {
  for (const [idleMs, isTrusted] of [
    [100, false],
    [1900, true],
  ] as const) {
    const { connection, far } = await pair(t)
    const other = await pair(t)
    const idle = new IdleConnections()
    idle.keep(connection, performance.now() - idleMs, undefined)
    far.destroy()
    await until(() => !connection.isUsable)
    const now = performance.now()
    idle.keep(other.connection, now, undefined)
    t.equal(idle.reserve(now + 1, false), isTrusted ? other.connection : undefined)
  }
})

t.test('the oldest makes room for the newest', async (t) => {
  const idle = new IdleConnections()
  const now = performance.now()
  const connections = await Promise.all(Array.from({ length: 65 }, async () => (await pair(t)).connection))
  for (const connection of connections) idle.keep(connection, now, undefined)
  t.equal(connections[0]?.isUsable, false)
  t.equal(idle.reserve(now, false), connections[1], 'a POST gets the one that has been quiet longest')
  t.equal(idle.reserve(now, true), connections[64], 'others the last used')
  t.equal(idle.sweep(now + 5000), true)
  t.ok(connections.slice(2, 64).every((c) => !c.isUsable))
})
