/** Which idle connection a request gets, and when a server is trusted with one that must not be sent twice. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Buffers, Wire } from '../../../../../gateway/ingress/upstream/connection.ts'
import { IdleWires } from '../../../../../gateway/ingress/upstream/idle-connections.ts'
import { until } from '../../../../helpers/gateway/gateway-upstream.ts'

/** A wire and the server's end of it. */
async function pair(t: Test): Promise<{ wire: Wire; far: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  const accepted = once(server, 'connection')
  const wire = new Wire(`127.0.0.1:${port}`, new Buffers(), true)
  const near = connect({ port, host: '127.0.0.1', onread: wire.onread })
  await once(near, 'connect')
  wire.attach(near)
  const [far] = await accepted
  t.teardown(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return { wire, far }
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
      const { wire } = await pair(t)
      const idle = new IdleWires()
      idle.keep(wire, 10_000, promisedS)
      t.equal(idle.take(10_000 + last, isRepeatable), wire, `${promisedS} s promised, ${last} ms`)
      idle.keep(wire, 10_000, promisedS)
      t.equal(idle.take(10_000 + last + 1, isRepeatable), undefined, `${last + 1} ms`)
    }
  }
})

t.test('an end or bytes that the event loop has not heard of yet', async (t) => {
  for (const disturb of [
    (far: Socket) => far.destroy(),
    (far: Socket) => far.write('HTTP/1.1 408 \r\n\r\n'),
  ]) {
    const { wire, far } = await pair(t)
    const other = await pair(t)
    const idle = new IdleWires()
    const now = performance.now()
    idle.keep(wire, now, undefined)
    idle.keep(other.wire, now, undefined)
    disturb(far)
    t.equal(wire.isUsable, true, 'the event loop has not')
    t.equal(idle.take(now + 1, false), undefined, 'nor any other of this server for now')
    t.equal(idle.take(now + 1, true), other.wire)
    idle.keep(other.wire, now + 60_000, undefined)
    t.equal(idle.take(now + 60_002, false), other.wire, 'a minute later it is trusted again')
  }
})

t.test('an idle connection that ends early takes the trust away, a late one does not', async (t) => {
  for (const [idleMs, isTrusted] of [
    [100, false],
    [1900, true],
  ] as const) {
    const { wire, far } = await pair(t)
    const other = await pair(t)
    const idle = new IdleWires()
    idle.keep(wire, performance.now() - idleMs, undefined)
    far.destroy()
    await until(() => !wire.isUsable)
    const now = performance.now()
    idle.keep(other.wire, now, undefined)
    t.equal(idle.take(now + 1, false), isTrusted ? other.wire : undefined)
  }
})

t.test('the oldest makes room for the newest', async (t) => {
  const idle = new IdleWires()
  const now = performance.now()
  const wires = await Promise.all(Array.from({ length: 65 }, async () => (await pair(t)).wire))
  for (const wire of wires) idle.keep(wire, now, undefined)
  t.equal(wires[0]?.isUsable, false)
  t.equal(idle.take(now, false), wires[1], 'a POST gets the one that has been quiet longest')
  t.equal(idle.take(now, true), wires[64], 'others the last used')
  t.equal(idle.sweep(now + 5000), true)
  t.ok(wires.slice(2, 64).every((w) => !w.isUsable))
})
