/** gateway/dataplane/nebula/launch: the Nebula of a gateway that was killed ends, and no other process does. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { endLeftover, writeRecord } from '../../../../gateway/dataplane/nebula/launch.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

/** A process that ignores nothing, or SIGTERM. */
async function running(t: Test, ignoresTerm = false): Promise<ChildProcess & { readonly pid: number }> {
  const script = `${ignoresTerm ? "trap '' TERM; " : ''}echo ready; while :; do sleep 0.05; done`
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  if (child.pid === undefined) throw new Error('sh was not started')
  return Object.assign(child, { pid: child.pid })
}

/** proc(5): the 22nd field. */
const startTimeOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')[19] ?? ''

t.test('the process of the record', async (t) => {
  const record = `${scratchFolder(t)}/process.json`
  for (const ignoresTerm of [false, true]) {
    const child = await running(t, ignoresTerm)
    const ended = once(child, 'exit')
    writeRecord(record, { pid: child.pid, startTime: startTimeOf(child.pid) })
    t.equal(await endLeftover(record), child.pid)
    await ended
    t.equal(child.signalCode, ignoresTerm ? 'SIGKILL' : 'SIGTERM')
    t.notOk(existsSync(record))
  }
})

t.test('no other: another start time, a torn record, none', async (t) => {
  const record = `${scratchFolder(t)}/process.json`
  const child = await running(t)
  const startTime = startTimeOf(child.pid)
  const records = [
    JSON.stringify({ pid: child.pid, startTime: `${Number(startTime) + 1}` }),
    JSON.stringify({ pid: child.pid }),
    JSON.stringify({}),
    `{"pid":${child.pid},"startT`,
    '',
  ]
  for (const text of records) {
    writeFileSync(record, text)
    t.equal(await endLeftover(record), undefined, text)
  }
  t.equal(await endLeftover(record), undefined, 'none')
  t.equal(startTimeOf(child.pid), startTime, 'it goes on')
})
