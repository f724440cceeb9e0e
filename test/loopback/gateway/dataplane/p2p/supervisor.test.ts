/** gateway/dataplane/p2p/supervisor: adopts, starts, replaces and restarts the P2P process; never two. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLog } from '../../../../../core/log.ts'
import { systemScheduler } from '../../../../../gateway/base/scheduler.ts'
import type { Launched } from '../../../../../gateway/dataplane/p2p/launch.ts'
import { ProcessSupervisor, type SupervisorDeps } from '../../../../../gateway/dataplane/p2p/supervisor.ts'
import { type FakeOptions, FakeP2pProcess } from '../../../../helpers/gateway/fake-p2p-process.ts'
import { waitFor } from '../../../../helpers/run/wait.ts'

interface Setting {
  readonly supervisor: ProcessSupervisor
  readonly path: string
  readonly events: string[]
  readonly killed: number[]
  /** One for each launch. */
  readonly launched: FakeP2pProcess[]
}

/** @param fakes what the launches make; after the last one none succeeds */
function setUp(t: Test, fakes: readonly FakeOptions[] | 'service'): Setting {
  // A socket's path has 107 bytes at most; t.testdir() is longer.
  const dir = mkdtempSync(join(tmpdir(), 'fn-p2p-'))
  const path = join(dir, 'p2p.sock')
  const events: string[] = []
  const killed: number[] = []
  const launched: FakeP2pProcess[] = []
  let n = 0
  const launch = (): Launched => {
    const options = fakes[n++]
    events.push('launch')
    const exits: ((how: string) => void)[] = []
    if (typeof options === 'object')
      void FakeP2pProcess.open(path, options).then((fake) => {
        launched.push(fake)
      })
    else
      setImmediate(() => {
        for (const exit of exits) exit('exit code 1')
      })
    return { pid: 1, kill: () => events.push('kill'), onExit: (listener) => void exits.push(listener) }
  }
  const deps: SupervisorDeps = {
    socketPath: path,
    hostId: 1,
    version: '0.0.1',
    scheduler: systemScheduler(),
    log: silentLog,
    kill: (pid) => void killed.push(pid),
    events: {
      connected: ({ sessions }) => events.push(`connected ${sessions.length}`),
      message: (message) => events.push(message.type),
      disconnected: () => events.push('disconnected'),
    },
    ...(fakes !== 'service' && { launch }),
  }
  const supervisor = new ProcessSupervisor(deps)
  t.teardown(async () => {
    supervisor.stop()
    await Promise.all(launched.map((fake) => fake.close()))
    rmSync(dir, { recursive: true, force: true })
  })
  return { supervisor, path, events, killed, launched }
}

t.test('one that runs is adopted, with its sessions, and nothing is started', async (t) => {
  const { supervisor, path, events } = setUp(t, [{}])
  const fake = await FakeP2pProcess.open(path)
  t.teardown(() => fake.close())
  supervisor.start()
  await waitFor('it is connected', 5_000, () => supervisor.problem === undefined)
  t.same(events, ['connected 0'])
  t.ok(supervisor.send({ type: 'probeNow' }))
  await waitFor('the line arrives', 5_000, () => fake.told.length === 2)
  t.match(fake.told, [{ type: 'hello', version: '0.0.1' }, { type: 'probeNow' }])
  fake.say({ type: 'networkChanged', what: 'eth0' })
  await waitFor('it is heard', 5_000, () => events.includes('networkChanged'))
})

t.test('where none runs one is started, once', async (t) => {
  const { supervisor, events } = setUp(t, [{}, {}])
  supervisor.start()
  t.ok(supervisor.problem, 'not yet')
  t.notOk(supervisor.send({ type: 'probeNow' }))
  await waitFor('it is connected', 5_000, () => supervisor.problem === undefined)
  t.same(events, ['launch', 'connected 0'])
})

t.test('one that ends is started again; crash after crash it takes longer', async (t) => {
  const { supervisor, events } = setUp(t, [])
  const startedAt = performance.now()
  supervisor.start()
  await waitFor('it was tried three times', 10_000, () => events.length >= 3)
  const tookMs = performance.now() - startedAt
  t.ok(tookMs >= 650, `200 and 500 ms between them: ${Math.round(tookMs)}`)
  t.same(events, ['launch', 'launch', 'launch'])
})

t.test('one that is killed is noticed at once', async (t) => {
  const { supervisor, events, launched } = setUp(t, [{}])
  supervisor.start()
  await waitFor('it is connected', 5_000, () => launched.length === 1 && supervisor.problem === undefined)
  await launched[0]?.close()
  await waitFor('the end is noticed', 1_000, () => events.includes('disconnected'))
  t.ok(supervisor.problem)
})

t.test('one of another protocol, or of another host, is asked to stop and replaced', async (t) => {
  for (const options of [{ protocol: 99 }, { hostId: 2 }]) {
    const { supervisor, path, events } = setUp(t, [{}])
    const old = await FakeP2pProcess.open(path, options)
    supervisor.start()
    await waitFor('its successor is connected', 5_000, () => supervisor.problem === undefined)
    t.match(old.told, [{ type: 'hello' }, { type: 'stop' }])
    t.same(events, ['launch', 'connected 0'])
  }
})

t.test('what is no line of the protocol ends the connection, not the gateway', async (t) => {
  const { supervisor, path, events } = setUp(t, 'service')
  const fake = await FakeP2pProcess.open(path)
  t.teardown(() => fake.close())
  supervisor.start()
  await waitFor('it is connected', 5_000, () => supervisor.problem === undefined)
  fake.write('{"type":"state","session":7}\n')
  await waitFor(
    'it was connected anew',
    5_000,
    () => fake.connections === 2 && supervisor.problem === undefined,
  )
  t.same(events, ['connected 0', 'disconnected', 'connected 0'])
})

t.test('under a service manager nothing is started, and it is found when it comes', async (t) => {
  const { supervisor, path, events } = setUp(t, 'service')
  supervisor.start()
  await waitFor('it has looked', 5_000, () => supervisor.problem?.includes('ENOENT'))
  const fake = await FakeP2pProcess.open(path)
  t.teardown(() => fake.close())
  await waitFor('it is connected', 5_000, () => supervisor.problem === undefined)
  t.same(events, ['connected 0'])
})

t.test('one that never answers is not taken for one', async (t) => {
  const { supervisor, path } = setUp(t, 'service')
  const fake = await FakeP2pProcess.open(path, { isMute: true })
  t.teardown(() => fake.close())
  supervisor.start()
  await waitFor('it is given up', 5_000, () => supervisor.problem?.includes('did not answer'))
})
