/** gateway/dataplane/p2p/launch: a process in a session of its own, with its own log. */
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { type Launched, launchProcess, p2pCommand } from '../../../../../gateway/dataplane/p2p/launch.ts'
import { waitFor } from '../../../../helpers/run/wait.ts'

/** The field of /proc/<pid>/stat behind the name: session is the fourth of them. */
const sessionOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3])

/** The child keeps no event loop alive, so its end is waited for with a timer. */
function endOf(child: Launched): () => Promise<string> {
  let how = ''
  child.onExit((said) => {
    how = said
  })
  return () => waitFor('it ends', 5_000, () => how)
}

t.test('it has its own session, and what it says is in the log', async (t) => {
  const log = `${t.testdir({})}/log/p2p.log`
  const child = launchProcess(['/bin/sh', '-c', 'echo said; exec sleep 60'], log)
  t.teardown(() => child.kill('SIGKILL'))
  const ended = endOf(child)
  const pid = child.pid ?? 0
  await waitFor('it speaks', 5_000, () => readFileSync(log, 'utf8') === 'said\n')
  t.equal(sessionOf(pid), pid)
  t.not(sessionOf(process.pid), pid)
  child.kill('SIGTERM')
  t.equal(await ended(), 'SIGTERM')
})

t.test('one that cannot be started says why; a log that grew large is kept once', async (t) => {
  const log = `${t.testdir({})}/p2p.log`
  writeFileSync(log, 'old')
  truncateSync(log, 9 * 1024 * 1024)
  const child = launchProcess(['/nonexistent'], log)
  t.match(await endOf(child)(), /ENOENT/)
  t.equal(statSync(`${log}.old`).size, 9 * 1024 * 1024)
  t.equal(statSync(log).size, 0)
})

t.test('the command is this executable', async (t) => {
  const command = p2pCommand('/etc/flatnet/flatnet.yaml')
  t.equal(command[0], process.execPath)
  t.same(command.slice(-3), ['p2p', '--config', '/etc/flatnet/flatnet.yaml'])
})
