/**
 * Runs test files in a few processes, each of which takes one file after another: the start of Node, tap and what most
 * files import is paid once for each process.
 */
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT } from './executable.ts'
import { type FileEnded, sumOf, type Tally, TapReader } from './tap-reader.ts'
import { keepTimes, lastTimes, longestFirst, type Times } from './test-times.ts'

/** One more than cores, since tests with sockets wait now and then. */
const PROCESSES = availableParallelism() + 1
/** For one file, and for the end of a process after its last. */
const PATIENCE_MS = 120_000

/** Takes files from `queue` until it is empty or the process ends. */
function runProcess(
  queue: string[],
  log: string,
  env: NodeJS.ProcessEnv,
  times: Times,
  fileEnded: FileEnded,
): Promise<Tally> {
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--max-semi-space-size=64',
      join(ROOT, 'test/helpers/run/test-worker.ts'),
    ],
    {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
      // No limit for the process: tap's would end one that runs many files.
      env: { ...env, TAP_TIMEOUT: '0' },
    },
  )
  const reader = new TapReader(fileEnded)
  let file: string | undefined
  let began = 0
  let text: string[] = []
  let patience: NodeJS.Timeout | undefined
  const next = () => {
    clearTimeout(patience)
    patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    began = performance.now()
    file = queue.shift()
    if (file === undefined) child.stdin.end()
    else child.stdin.write(`${file}\n`)
  }
  child.stdin.on('error', () => child.kill('SIGKILL'))
  child.stderr.on('data', (chunk: Buffer) => appendFileSync(log, chunk))
  createInterface({ input: child.stdout }).on('line', (line) => {
    text.push(line)
    reader.line(line)
    if (file === undefined || line !== `# ended ${file}`) return
    times[file] = Math.round(performance.now() - began)
    // One file at a time: lines of several processes would mix.
    appendFileSync(log, `${text.join('\n')}\n`)
    text = []
    next()
  })
  next()
  return new Promise((done, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => {
      clearTimeout(patience)
      appendFileSync(log, `${text.join('\n')}\n`)
      const tally = reader.end(status ?? 128)
      if (file === undefined) return done(tally)
      done({ ...tally, failures: [...tally.failures, `${file}: its process ended (${signal ?? status})`] })
    })
  })
}

/** @param fileEnded as for TapReader @param log each file's TAP in one piece, and what was written to stderr */
export async function runPool(
  files: readonly string[],
  log: string,
  env: NodeJS.ProcessEnv,
  fileEnded: FileEnded,
): Promise<Tally> {
  const times = lastTimes()
  const queue = longestFirst(files, times)
  const tallies: Tally[] = []
  const work = async () => {
    while (queue.length > 0) tallies.push(await runProcess(queue, log, env, times, fileEnded))
  }
  await Promise.all(Array.from({ length: Math.min(PROCESSES, files.length) }, work))
  keepTimes(times)
  return sumOf(tallies)
}
