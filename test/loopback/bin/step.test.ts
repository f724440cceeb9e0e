/** A step of bin/up and bin/test: a signal that ends the script ends what it started. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../../helpers/run/executable.ts'
import { waitFor } from '../../helpers/run/wait.ts'

/** As npm does: the command waits for another, which ignores what npm ignores. */
const LONG = 'sleep 1000 & echo $! >"$1"; trap "" INT; wait'

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

// Each waits for the half second in which a step looks at its command.
t.jobs = 3
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  t.test(`${signal} in the middle of a step`, async (t) => {
    const dir = t.testdir({})
    const script = `LOGS=$1; . bin/lib/say.sh; step 'Installing something' bash -c '${LONG}' long "$1/pid"; echo went on`
    const child = spawn('bash', ['-c', script, 'bin/up', dir], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    const ended = new Promise<number | null>((resolve) => {
      child.once('close', (exit) => resolve(exit))
    })
    let started = 0
    await waitFor('the step runs', 10_000, () => {
      started = Number(readFileSync(join(dir, 'pid'), { encoding: 'utf8', flag: 'a+' }))
      return started > 0
    })
    t.teardown(() => isThere(started) && process.kill(started, 'SIGKILL'))
    child.kill(signal)
    t.equal(await ended, code, said)
    t.notOk(isThere(started), 'what it started is gone')
    t.match(said, /up: stopped at "Installing something"\.\n {2}Run it again/)
    t.notMatch(said, /went on/)
  })
}
