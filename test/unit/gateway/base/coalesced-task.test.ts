/** gateway/base/coalesced-task: one run at a time, one more for all calls meanwhile, none after stop. */
import t from 'tap'
import { CoalescedTask } from '../../../../gateway/base/coalesced-task.ts'

/** A task whose runs end when the test says so. */
function heldTask() {
  const runs: PromiseWithResolvers<void>[] = []
  const task = new CoalescedTask(() => {
    const run = Promise.withResolvers<void>()
    runs.push(run)
    return run.promise
  })
  const end = async (n: number): Promise<void> => {
    runs[n]?.resolve()
    await new Promise(setImmediate)
  }
  return { end, runs, task }
}

t.test('calls during a run share one more run, and wait for it', async (t) => {
  const { end, runs, task } = heldTask()
  void task.run()
  let seen = 0
  const during = [task.run(), task.run()].map((call) => call.then(() => seen++))
  t.equal(runs.length, 1)
  await end(0)
  t.equal(runs.length, 2)
  t.equal(seen, 0)
  await end(1)
  await Promise.all(during)
  t.equal(runs.length, 2)
})

t.test('a call after a run begins another', async (t) => {
  const { end, runs, task } = heldTask()
  const first = task.run()
  await end(0)
  await first
  void task.run()
  t.equal(runs.length, 2)
})

t.test('stop waits for the run in progress and begins none', async (t) => {
  const { end, runs, task } = heldTask()
  void task.run()
  void task.run()
  let isStopped = false
  const stopped = task.stop().then(() => {
    isStopped = true
  })
  await new Promise(setImmediate)
  t.notOk(isStopped)
  await end(0)
  await stopped
  await task.run()
  t.equal(runs.length, 1)
})
