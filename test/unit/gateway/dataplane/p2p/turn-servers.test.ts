/** gateway/dataplane/p2p/turn-servers: what the process is ordered, and what a person is told. */
import t from 'tap'
import type { TurnConf } from '../../../../../conf/turn.ts'
import { silentLog } from '../../../../../core/log.ts'
import { LOOK_FURTHER } from '../../../../../gateway/dataplane/nat/turn/problems.ts'
import type { ToProcess } from '../../../../../gateway/dataplane/p2p/protocol.ts'
import { TurnServers } from '../../../../../gateway/dataplane/p2p/turn-servers.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

const ONE = 'one.example:3478'
const TWO = 'two.example:3478'
const settled = () => new Promise((resolve) => setImmediate(resolve))

function make(conf: readonly TurnConf[], problems = new Map<string, string>()) {
  const time = new SimTime()
  const told: Extract<ToProcess, { type: 'useTurn' }>[] = []
  const warned: unknown[] = []
  const servers = new TurnServers({
    conf,
    scheduler: time.scheduler(() => 0),
    log: { ...silentLog, warn: (fields: object) => void warned.push(fields) },
    async find({ server: name, username, secret }) {
      const problem = problems.get(name)
      if (problem !== undefined) throw new Error(problem)
      return { name, address: '192.0.2.50:3478', username, ...(secret !== undefined && { secret }) }
    },
    toProcess(message) {
      if (message.type === 'useTurn') told.push(message)
      return true
    },
  })
  void servers.part.start()
  return { time, told, warned, problems, servers }
}

t.test('a process that knows TURN is told once the servers are found, and a new one again', async (t) => {
  const it = make([{ server: ONE, username: '', secret: 'north' }])
  it.servers.connected(false)
  await settled()
  t.same(it.told, [], 'an older process would break off')
  it.servers.connected(true)
  it.servers.connected(true)
  const order = {
    type: 'useTurn',
    servers: [{ name: ONE, address: '192.0.2.50:3478', username: '', secret: 'north' }],
  }
  t.same(it.told, [order, order])
})

t.test('a server that is not found is told once, asked for again, and kept when it was known', async (t) => {
  const it = make([{ server: ONE, username: 'a', password: 'b' }])
  it.servers.connected(true)
  it.problems.set(ONE, 'ENOTFOUND')
  await settled()
  it.time.run(400_000)
  await settled()
  it.time.run(11_000)
  await settled()
  t.match(it.warned, [{ endpoint: ONE, reason: 'ENOTFOUND' }])
  t.equal(it.warned.length, 1)
  t.equal(it.told.at(-1)?.servers.length, 1, 'what was known before serves on')
  t.match(it.servers.status, [{ server: ONE, state: 'idle', problem: undefined }])
})

t.test('status names each server, with what the process says of it', async (t) => {
  const conf = [ONE, TWO].map((server) => ({ server, username: 'a', password: 'b' }))
  const it = make(conf, new Map([[TWO, 'ENOENT']]))
  it.servers.connected(true)
  await settled()
  it.servers.said({
    type: 'turn',
    servers: [{ name: ONE, state: 'ready', relayed: '192.0.2.50:5', rttMs: 3 }],
  })
  t.same(it.servers.status, [
    { server: ONE, state: 'ready', relayed: '192.0.2.50:5', rttMs: 3 },
    { server: TWO, state: 'idle', problem: 'ENOENT', remedy: LOOK_FURTHER },
  ])
})

t.test('two names of one address are asked once', async (t) => {
  const it = make([
    { server: ONE, username: 'a', password: 'b' },
    { server: TWO, username: 'a', password: 'b' },
  ])
  it.servers.connected(true)
  await settled()
  t.equal(it.told.at(-1)?.servers.length, 1)
})
