/** kernel/flock.ts: one holder at a time, bounded waits, and holders that die or stop. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { monotonic } from '../../../core/clock.ts'
import { FlatnetError } from '../../../core/errors.ts'
import { withFlock } from '../../../kernel/flock.ts'
import { waitFor } from '../../helpers/run/wait.ts'

const HOLDER = join(import.meta.dirname, '../../helpers/kernel/lock-holder.ts')

/** Another process that has the lock by the time this resolves. */
async function holder(t: Test, path: string): Promise<ChildProcess> {
  const child = spawnHolder(t, path)
  await once(child.stdout as Readable, 'data')
  return child
}

function spawnHolder(t: Test, path: string): ChildProcess {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', HOLDER, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

const isFree = (path: string): boolean => {
  try {
    return withFlock(path, { timeoutMs: 0 }, () => true)
  } catch (err) {
    if (err instanceof FlatnetError && err.code === 'ERR_FLATNET_TRY_AGAIN') return false
    throw err
  }
}

t.test('it is free after use, also when that fails', async (t) => {
  const path = join(t.testdir(), 'deep/down/lock')
  t.equal(
    withFlock(path, {}, () => 7),
    7,
  )
  t.throws(
    () =>
      withFlock(path, {}, () => {
        throw new Error('inside')
      }),
    { message: 'inside' },
  )
  t.equal(isFree(path), true)
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('it keeps the same process out as well', async (t) => {
  const path = join(t.testdir(), 'lock')
  withFlock(path, {}, () => t.equal(isFree(path), false))
  t.equal(isFree(path), true)
})

t.test('a holder that is killed frees it', async (t) => {
  const path = join(t.testdir(), 'lock')
  const child = await holder(t, path)
  t.equal(isFree(path), false)
  child.kill('SIGKILL')
  t.equal(
    withFlock(path, { timeoutMs: 5000 }, () => 'mine'),
    'mine',
    'waited for, not asked again',
  )
})

t.test('a holder that hangs is named, after a bound', async (t) => {
  const path = join(t.testdir(), 'lock')
  const child = await holder(t, path)
  child.kill('SIGSTOP')
  const start = performance.now()
  try {
    withFlock(path, { timeoutMs: 200 }, () => undefined)
    t.fail('it was not refused')
  } catch (err) {
    if (!(err instanceof FlatnetError)) throw err
    t.equal(err.code, 'ERR_FLATNET_TRY_AGAIN')
    t.equal(err.cniCode, 11)
    t.match(err.message, path)
    t.match(err.message, `process ${child.pid} (`)
    t.match(err.message, 'waited 200 ms')
    t.same(err.facts, { path, pid: child.pid })
  }
  const waited = performance.now() - start
  t.ok(waited >= 200 && waited < 1000, `waited ${waited.toFixed()} ms`)
})

t.test('one instant bounds many waits, and a free lock is taken after it', async (t) => {
  const path = join(t.testdir(), 'lock')
  const child = await holder(t, path)
  child.kill('SIGSTOP')
  const until = monotonic() + 200
  const start = performance.now()
  for (let n = 0; n < 3; n++) {
    t.throws(() => withFlock(path, { until }, () => undefined), { code: 'ERR_FLATNET_TRY_AGAIN' })
  }
  const waited = performance.now() - start
  t.ok(waited >= 150 && waited < 2000, `waited ${waited.toFixed()} ms in all`)
  child.kill('SIGKILL')
  await waitFor('the holder is gone', 10_000, () => isFree(path))
  t.equal(
    withFlock(path, { until }, () => 'mine'),
    'mine',
  )
})

t.test('a child does not inherit it', async (t) => {
  const path = join(t.testdir(), 'lock')
  const child = withFlock(path, {}, () => [spawn('sleep', ['1000'])])[0]!
  t.teardown(() => child.kill('SIGKILL'))
  t.equal(isFree(path), true)
})

t.test('a lock file that was moved away keeps nobody out', async (t) => {
  const folder = t.testdir({ store: {} })
  const path = join(folder, 'store/lock')
  const child = await holder(t, path)
  renameSync(join(folder, 'store'), join(folder, 'gone'))
  mkdirSync(join(folder, 'store'))
  t.equal(isFree(path), true, 'the new file is the lock')
  child.kill('SIGKILL')
})

t.test('who waits on a lock file that is deleted takes the new one', async (t) => {
  const folder = t.testdir({ store: {} })
  const path = join(folder, 'store/lock')
  const first = await holder(t, path)
  const second = spawnHolder(t, path)
  const held = once(second.stdout as Readable, 'data')
  await waitFor('the second waits', 5000, () => opens(second, path))
  rmSync(path)
  const third = await holder(t, path)
  first.kill('SIGKILL')
  await waitFor('the second looked again', 5000, () => !opens(second, `${path} (deleted)`))
  t.equal(await Promise.race([held, Promise.resolve('waits')]), 'waits', 'the file without a name is no lock')
  third.kill('SIGKILL')
  await held
  t.equal(isFree(path), false, 'the second has the file that is there')
})

/** Whether a process has a file open, by the name the kernel has for it. */
function opens(child: ChildProcess, name: string): boolean {
  const folder = `/proc/${child.pid}/fd`
  return readdirSync(folder).some((fd) => {
    try {
      return readlinkSync(join(folder, fd)) === name
    } catch {
      return false
    }
  })
}
