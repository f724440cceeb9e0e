/** gateway/dataplane/nebula/process: one Nebula runs, with a fake process and a fake clock. */

import t from 'tap'
import { type Log, silentLog } from '../../../../../core/log.ts'
import { NebulaProcess } from '../../../../../gateway/dataplane/nebula/process.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

function supervised(prepare: () => Promise<void> = async () => {}) {
  const time = new SimTime()
  const said: string[] = []
  const log: Log = {
    ...silentLog,
    warn: (fields, message) => said.push(`${message}: ${(fields as { reason?: string }).reason}`),
  }
  let lastWords: string | undefined
  const children: { signals: string[]; exit(how: string): void }[] = []
  const process = new NebulaProcess({
    scheduler: time.scheduler(() => 0),
    log,
    prepare,
    lastWords: () => lastWords,
    launch() {
      const signals: string[] = []
      let listener: (how: string) => void = () => {}
      children.push({ signals, exit: (how) => listener(how) })
      return {
        pid: 100 + children.length,
        kill: (signal) => void signals.push(signal),
        onExit: (given) => {
          listener = given
        },
      }
    },
  })
  return {
    time,
    said,
    children,
    process,
    complains(words: string) {
      lastWords = words
    },
    /** Lets what was awaited go on. */
    async settle(ms = 0) {
      time.run(ms)
      for (let i = 0; i < 5; i++) await Promise.resolve()
    },
  }
}

t.test('it is started, and started again after a crash, ever later', async (t) => {
  const { children, process, said, settle } = supervised()
  process.start()
  t.equal(process.problem, 'is being started')
  await settle()
  t.strictSame([children.length, process.pid, process.problem], [1, 101, undefined])
  children[0]?.exit('SIGKILL')
  t.equal(process.problem, 'ended: SIGKILL')
  await settle(199)
  t.equal(children.length, 1)
  await settle(1)
  t.equal(children.length, 2)
  for (const wait of [500, 1_250, 3_125, 7_812.5, 19_531.25, 30_000, 30_000]) {
    children.at(-1)?.exit('exit code 1')
    const before = children.length
    await settle(wait - 1)
    t.equal(children.length, before, `not before ${wait} ms`)
    await settle(1)
    t.equal(children.length, before + 1)
  }
  await settle(60_000)
  children.at(-1)?.exit('exit code 1')
  const before = children.length
  await settle(200)
  t.equal(children.length, before + 1, 'soon, after a minute of health')
  t.equal(said.length, 9, 'each end is said')
})

t.test('what is missing is said once, and looked for again', async (t) => {
  let problem: string | undefined = 'nebula is not installed'
  const { children, process, said, settle } = supervised(async () => {
    if (problem !== undefined) throw new Error(problem)
  })
  process.start()
  await settle()
  t.equal(process.problem, 'nebula is not installed')
  for (let i = 0; i < 10; i++) await settle(30_000)
  t.same(said, ['nebula is not started, packets go by other ways: nebula is not installed'])
  problem = 'there is no host.crt'
  await settle(30_000)
  t.equal(said.length, 2, 'another reason is said')
  problem = undefined
  await settle(30_000)
  t.equal(children.length, 1)
  t.equal(process.problem, undefined)
})

t.test('a stop ends it, by force if need be', async (t) => {
  const { children, process, settle } = supervised()
  process.start()
  await settle()
  let isOver = false
  const stopped = process.stop().then(() => {
    isOver = true
  })
  t.same(children[0]?.signals, ['SIGTERM'])
  await settle(2_000)
  t.same(children[0]?.signals, ['SIGTERM', 'SIGKILL'])
  t.notOk(isOver)
  children[0]?.exit('SIGKILL')
  await stopped
  await settle(60_000)
  t.equal(children.length, 1, 'and no other is started')
})

t.test('a stop before the start, while it prepares, and after a crash', async (t) => {
  const before = supervised()
  await before.process.stop()
  const gate = Promise.withResolvers<void>()
  const during = supervised(() => gate.promise)
  during.process.start()
  let isOver = false
  const stopped = during.process.stop().then(() => {
    isOver = true
  })
  await during.settle()
  t.notOk(isOver, 'what it prepares would be there after the clean-up')
  gate.resolve()
  await stopped
  await during.settle(60_000)
  t.equal(during.children.length, 0)
  const after = supervised()
  after.process.start()
  await after.settle()
  after.children[0]?.exit('exit code 1')
  await after.process.stop()
  await after.settle(60_000)
  t.equal(after.children.length, 1)
})

t.test('other settings: ended, and started at once', async (t) => {
  const { children, process, said, settle } = supervised()
  process.restart()
  process.start()
  await settle()
  process.restart()
  t.same(children[0]?.signals, ['SIGTERM'])
  await settle(2_000)
  t.same(children[0]?.signals, ['SIGTERM', 'SIGKILL'], 'one that hangs is killed')
  children[0]?.exit('SIGKILL')
  await settle()
  t.equal(children.length, 2)
  t.same(said, [], 'and no end is reported')
})

t.test('why it ended is in the reason', async (t) => {
  const { children, complains, process, said, settle } = supervised()
  process.start()
  await settle()
  complains('another program has UDP port 4242')
  children[0]?.exit('exit code 1')
  t.equal(process.problem, 'ended: exit code 1: another program has UDP port 4242')
  t.same(said, ['nebula ended: exit code 1: another program has UDP port 4242'])
})

t.test('what was missing is there: it does not wait for the next try', async (t) => {
  let problem: string | undefined = 'there is no host.crt'
  const { children, process, settle } = supervised(async () => {
    if (problem !== undefined) throw new Error(problem)
  })
  process.start()
  process.startNow()
  await settle()
  problem = undefined
  process.startNow()
  process.startNow()
  await settle()
  t.equal(children.length, 1)
  process.startNow()
  await settle(60_000)
  t.equal(children.length, 1, 'it runs, and one is enough')
})
