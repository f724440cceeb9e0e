/** gateway/ingress/connection-limit: who makes room when all places of the listener are taken. */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import type { DaemonConf } from '../../../../conf/daemon.ts'
import { Metrics } from '../../../../gateway/base/metrics.ts'
import { schedulerOf } from '../../../../gateway/base/scheduler.ts'
import { ConnectionLimit } from '../../../../gateway/ingress/connection-limit.ts'

class Client extends EventEmitter {
  readonly remoteAddress: string
  bytesRead = 0
  bytesWritten = 0
  destroyed = false

  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }

  /** As a socket has it, 'close' comes in a later turn. */
  destroy(): void {
    this.destroyed = true
  }
}

const asSocket = (client: Client): Socket => client as unknown as Socket

function listener(maxConnections: number) {
  let now = 0
  const clock = { now: () => now, monotonic: () => now }
  const limit = new ConnectionLimit({
    conf: { ingress: { maxConnections, maxConnectionsPerClient: 100 } } as DaemonConf,
    metrics: new Metrics(),
    scheduler: schedulerOf(clock, () => () => {}),
  })
  /** A connection whose request is under way. Whether it stays is known after this turn of the loop. */
  const enter = async (address: string): Promise<Client> => {
    const client = new Client(address)
    limit.admit(asSocket(client))
    await nextTurn()
    return client
  }
  return {
    limit,
    pass(ms: number) {
      now += ms
    },
    enter,
    async enterAll<const A extends readonly string[]>(...addresses: A) {
      const clients: Client[] = []
      for (const address of addresses) clients.push(await enter(address))
      return clients as { readonly [K in keyof A]: Client }
    },
  }
}

const closedOf = (clients: readonly Client[]): boolean[] => clients.map(({ destroyed }) => destroyed)

t.test('the one that waits for longest goes first, whose it is', async (t) => {
  const { limit, enterAll, enter, pass } = listener(3)
  const [busy, early, late] = await enterAll('10.0.0.1', '10.0.0.2', '10.0.0.1')
  limit.wait(asSocket(early))
  limit.wait(asSocket(late))
  pass(1_000)
  const newcomer = await enter('10.0.0.3')
  t.same(closedOf([busy, early, late, newcomer]), [false, true, false, false])
})

t.test('a newcomer of the client with most takes the place of one of its own', async (t) => {
  const { limit, enterAll, enter, pass } = listener(3)
  const [handshake, idle, busy] = await enterAll('10.0.0.2', '10.0.0.1', '10.0.0.1')
  limit.wait(asSocket(handshake))
  pass(1_000)
  limit.wait(asSocket(idle))
  const newcomer = await enter('10.0.0.1')
  t.same(closedOf([handshake, idle, busy, newcomer]), [false, true, false, false])
  pass(500)
  const next = await enter('10.0.0.1')
  t.same(closedOf([handshake, busy, newcomer, next]), [true, false, false, false], 'then of what waits')
  t.ok((await enter('10.0.0.1')).destroyed, 'where all have requests under way it gets no more')
})

t.test('a request that is read in the same turn of the loop keeps its connection', async (t) => {
  const { limit, enterAll, pass } = listener(2)
  const [kept, other] = await enterAll('10.0.0.1', '10.0.0.2')
  limit.wait(asSocket(kept))
  pass(1)
  limit.wait(asSocket(other))
  pass(5_000)
  const newcomer = new Client('10.0.0.3')
  limit.admit(asSocket(newcomer))
  limit.busy(asSocket(kept))
  await nextTurn()
  t.same(closedOf([kept, other, newcomer]), [false, true, false])
})

t.test('many newcomers in one turn do not wait for its end, and none is forgotten', async (t) => {
  const { limit, enterAll } = listener(2)
  const old = await enterAll('10.0.0.1', '10.0.0.2')
  for (const one of old) limit.wait(asSocket(one))
  const newcomers = Array.from({ length: 600 }, (_, i) => new Client(`10.1.${i >> 8}.${i & 255}`))
  for (const one of newcomers) limit.admit(asSocket(one))
  t.ok(newcomers.filter(({ destroyed }) => destroyed).length >= 510, 'two batches of 256 are decided')
  await nextTurn()
  t.equal([...old, ...newcomers].filter(({ destroyed }) => !destroyed).length, 2)
})

t.test('with a request under way on each, the largest client loses its stillest', async (t) => {
  const { pass, enterAll, enter } = listener(4)
  const [other, first, second, third] = await enterAll('10.0.0.2', '10.0.0.1', '10.0.0.1', '10.0.0.1')
  const newcomer = (address: string): Promise<Client> => {
    first.bytesRead++
    third.bytesWritten++
    pass(1_000)
    return enter(address)
  }
  t.notOk((await newcomer('10.0.0.3')).destroyed, 'a third client gets in')
  t.same(closedOf([other, first, second, third]), [false, false, true, false])
  t.ok((await newcomer('10.0.0.1')).destroyed, 'a client with most gets no more')
  t.notOk((await newcomer('10.0.0.4')).destroyed, 'a client with none takes one of two')
  t.ok((await newcomer('10.0.0.5')).destroyed, 'and none of those that have one')
})

t.test('addresses of one /64 are one client', async (t) => {
  const { enterAll, enter } = listener(3)
  const clients = await enterAll('2001:db8:0:2::1', '2001:db8:0:1::1', '2001:db8:0:1::2')
  t.notOk((await enter('2001:db8:0:3::1')).destroyed)
  t.same(closedOf(clients), [false, true, false])
})

t.test(
  'a connection waits while its handshake is not done; then its bytes are those above TLS',
  async (t) => {
    const { limit, pass, enterAll, enter } = listener(2)
    const [one, two] = await enterAll('10.0.0.1', '10.0.0.1')
    const above = [one, two].map(() => new Client('10.0.0.1'))
    for (const [i, socket] of [one, two].entries()) {
      limit.wait(asSocket(socket))
      limit.secured(asSocket(socket), asSocket(above[i]!))
    }
    // Past three quarters of the places a look at a time finds who moves.
    pass(1_000)
    above[0]!.bytesWritten = 100
    t.notOk((await enter('10.0.0.2')).destroyed)
    t.same(closedOf([one, two]), [false, true])
  },
)

t.test('who has just come stays, but where no client has more', async (t) => {
  const { limit, enterAll, enter, pass } = listener(3)
  const [busy, also, fresh] = await enterAll('10.0.0.1', '10.0.0.1', '10.0.0.2')
  pass(999)
  limit.wait(asSocket(fresh))
  const next = await enter('10.0.0.3')
  t.same(closedOf([busy, also, fresh]), [true, false, false])
  t.notOk((await enter('10.0.0.4')).destroyed)
  t.same(closedOf([also, fresh, next]), [false, true, false])
})
