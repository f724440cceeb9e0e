/** gateway/ingress/connection-limit: who makes room when all places of the listener are taken. */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
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

function listener(maxConnections: number) {
  let now = 0
  const clock = { now: () => now, monotonic: () => now }
  const limit = new ConnectionLimit({
    conf: { ingress: { maxConnections, maxConnectionsPerClient: 100 } } as DaemonConf,
    metrics: new Metrics(),
    scheduler: schedulerOf(clock, () => () => {}),
  })
  return {
    limit,
    pass(ms: number) {
      now += ms
    },
    /** A connection whose request is under way. */
    enter(address: string) {
      const client = new Client(address)
      return Object.assign(client, { isIn: limit.admit(client as unknown as Socket) })
    },
  }
}

const asSocket = (client: Client): Socket => client as unknown as Socket

t.test('the one that waits for longest goes first, whose it is', async (t) => {
  const { limit, enter, pass } = listener(3)
  const [busy, early, late] = [enter('10.0.0.1'), enter('10.0.0.2'), enter('10.0.0.1')]
  limit.wait(asSocket(early))
  limit.wait(asSocket(late))
  pass(1_000)
  t.ok(enter('10.0.0.3').isIn)
  t.same(
    [busy, early, late].map((c) => c.destroyed),
    [false, true, false],
  )
})

t.test('with a request under way on each, the largest client loses its stillest', async (t) => {
  const { pass, enter } = listener(4)
  const [other, first, second, third] = ['10.0.0.2', '10.0.0.1', '10.0.0.1', '10.0.0.1'].map(enter)
  const newcomer = async (address: string) => {
    first!.bytesRead++
    third!.bytesWritten++
    pass(1_000)
    return enter(address)
  }
  t.ok((await newcomer('10.0.0.3')).isIn, 'a third client gets in')
  t.same(
    [other, first, second, third].map((c) => c!.destroyed),
    [false, false, true, false],
  )
  t.notOk((await newcomer('10.0.0.1')).isIn, 'a client with most gets no more')
  t.ok((await newcomer('10.0.0.4')).isIn, 'a client with none takes one of two')
  t.notOk((await newcomer('10.0.0.5')).isIn, 'and none of those that have one')
})

t.test('addresses of one /64 are one client', async (t) => {
  const { enter } = listener(3)
  const [other, ...own] = ['2001:db8:0:2::1', '2001:db8:0:1::1', '2001:db8:0:1::2'].map(enter)
  t.ok(enter('2001:db8:0:3::1').isIn)
  t.same(
    [other, ...own].map((c) => c!.destroyed),
    [false, true, false],
  )
})

t.test(
  'a connection waits while its handshake is not done; then its bytes are those above TLS',
  async (t) => {
    const { limit, pass, enter } = listener(2)
    const [one, two] = [enter('10.0.0.1'), enter('10.0.0.1')]
    const above = [one, two].map(() => new Client('10.0.0.1'))
    for (const [i, socket] of [one, two].entries()) {
      limit.wait(asSocket(socket))
      limit.secured(asSocket(socket), asSocket(above[i]!))
    }
    // Past three quarters of the places a look at a time finds who moves.
    pass(1_000)
    above[0]!.bytesWritten = 100
    t.ok(enter('10.0.0.2').isIn)
    t.same([one.destroyed, two.destroyed], [false, true])
  },
)

t.test('who has just come stays, but where no client has more', async (t) => {
  const { limit, enter, pass } = listener(3)
  const [busy, also, fresh] = [enter('10.0.0.1'), enter('10.0.0.1'), enter('10.0.0.2')]
  pass(999)
  limit.wait(asSocket(fresh))
  const next = enter('10.0.0.3')
  t.same(
    [busy, also, fresh].map((c) => c.destroyed),
    [true, false, false],
  )
  t.ok(enter('10.0.0.4').isIn)
  t.same(
    [also, fresh, next].map((c) => c.destroyed),
    [false, true, false],
  )
})
