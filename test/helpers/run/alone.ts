/** Runs each test file in its own process, a few at a time: for files that make namespaces and start programs. */
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { ROOT } from './executable.ts'
import { type FileEnded, sumOf, type Tally, TapReader } from './tap-reader.ts'
import { keepTimes, lastTimes, longestFirst, ownLimitOf } from './test-times.ts'

/** The same as in .taprc, which counts for a file that is run by hand. */
const LIMIT_S = 300

/** A file whose test gives itself longer has as long. */
const limitOf = (file: string): number => Math.max(LIMIT_S, ownLimitOf(file) / 1_000)

/** The lines of one file, as the file's own subtest of the run. */
async function runFile(
  file: string,
  log: string,
  env: NodeJS.ProcessEnv,
  fileEnded: FileEnded,
): Promise<Tally> {
  const began = performance.now()
  const limitS = limitOf(file)
  const reader = new TapReader(fileEnded)
  const text = [`# Subtest: ${file}`]
  reader.line(text[0] ?? '')
  // Without tap's own runner, whose hooks for coverage slow down every program that a test starts.
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, TAP: '1', TAP_TIMEOUT: String(limitS) },
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), (limitS + 10) * 1_000)
  child.stderr.on('data', (chunk: Buffer) => appendFileSync(log, chunk))
  createInterface({ input: child.stdout }).on('line', (line) => {
    text.push(`    ${line}`)
    // Totals belong to the run, all other lines to the file.
    reader.line(line.startsWith('# { ') ? line : `    ${line}`)
  })
  const code = await new Promise<number>((done, reject) => {
    child.once('error', reject)
    child.once('close', (status) => done(status ?? 128))
  })
  clearTimeout(limit)
  const end = `${code === 0 ? '' : 'not '}ok 1 - ${file} # time=${Math.round(performance.now() - began)}ms`
  reader.line(end)
  // One file at a time: lines of several processes would mix.
  appendFileSync(log, `${text.join('\n')}\n${end}\n\n`)
  const tally = reader.end(code)
  const failures = tally.failures.map((failure) =>
    failure.startsWith(file) ? failure : `${file}: ${failure}`,
  )
  return { ...tally, failures }
}

/** Files that only keep time for most of theirs, so they take no job. */
const WAITING: ReadonlySet<string> = new Set([
  'test/hosts/p2p-flapping.test.ts',
  'test/hosts/p2p-damped.test.ts',
])

/** @param jobs how many files at a time @param fileEnded as for TapReader */
export async function runAlone(
  files: readonly string[],
  jobs: number,
  log: string,
  env: NodeJS.ProcessEnv,
  fileEnded: FileEnded,
): Promise<Tally> {
  const times = lastTimes()
  const tallies: Tally[] = []
  const work = async (queue: string[]) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const began = performance.now()
      tallies.push(await runFile(file, log, env, fileEnded))
      times[file] = Math.round(performance.now() - began)
    }
  }
  const { waiting = [], working = [] } = Object.groupBy(files, (file) =>
    WAITING.has(file) ? 'waiting' : 'working',
  )
  const queue = longestFirst(working, times)
  const workers = Array.from({ length: Math.min(jobs, queue.length) }, () => work(queue))
  await Promise.all([...workers, ...waiting.map((file) => work([file]))])
  keepTimes(times)
  return sumOf(tallies)
}
