/**
 * Runs the suites named as arguments, one after another, and closes with `N passed, N failed, N skipped`. Started by
 * bin/test.
 */
import { spawn } from 'node:child_process'
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { stripVTControlCharacters } from 'node:util'
import { runAlone } from './alone.ts'
import { calm, cpuSeconds } from './cpu.ts'
import { ROOT } from './executable.ts'
import { memoryFolder } from './memory.ts'
import { SUITE } from './no-sockets.ts'
import { RUN_FOLDER } from './once-per-run.ts'
import { runPool } from './pool.ts'
import { type First, firstRun, type RunFiles, secondChance } from './second-chance.ts'
import type { Tally } from './tap-reader.ts'

const LOGS = join(ROOT, '.build/test-logs')
const BIN = join(ROOT, 'node_modules/.bin')
/**
 * How many files of a suite run at once, two where none is given: their namespaces are private. A file of `hosts` uses
 * 0.3 processors while it runs (p2p-kill 20 CPU seconds of 65, p2p-loss 13 of 76), one of `netns` 0.4 (cli 22 of 38,
 * p2p-process-faults 19 of 74), one of `podman` 0.4 (life 31 of 79): all wait for most of their time. Those of `nat`
 * keep two processors busy: nine gateways begin at once, and a hub that stands still for 3 s loses what it relays.
 */
const LANES: Readonly<Record<string, number>> = { netns: 3, podman: 3, podman5: 3, hosts: 3, nat: 1 }
/** What test files make once for all of a run, e.g. a cluster's keys. */
const runFolder = mkdtempSync(join(tmpdir(), 'ft-run-'))
/** A missing kernel feature cannot be installed. Every other skip is a failure in CI. */
const EXCUSED = /^kernel: /
const ENV = { ...process.env, PATH: `${BIN}:${process.env['PATH']}`, NO_COLOR: '1' }
/** Keeps compiled code for the next file and the next run. */
const COMPILED = { NODE_COMPILE_CACHE: join(ROOT, '.build/compile-cache') }
interface Outcome extends First {
  readonly suite: string
  /** From its first file to the end of its last, without second chances. */
  readonly seconds: number
  readonly cpuSeconds: number
  readonly log: string
  /** How its files are run once more; absent for `check`. */
  readonly run?: RunFiles
}

/** What a suite has come to in the end. */
interface Judged extends Tally, Pick<Outcome, 'suite' | 'seconds' | 'cpuSeconds' | 'log'> {}

const say = (line: string) => process.stdout.write(`${line}\n`)

/** The steps of `npm run check`, each counted as one test. */
function checks(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  return Object.keys(scripts).filter((name) => name.startsWith('check:'))
}

/** Runs a command; each line goes to the log and to `each`. Returns the exit code, 128 for a signal. */
async function follow(argv: readonly string[], log: string, each: (line: string) => void): Promise<number> {
  const [command = '', ...args] = argv
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: ENV,
  })
  const file = createWriteStream(log, { flags: 'a' })
  child.stderr.pipe(file, { end: false })
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    file.write(`${line}\n`)
    each(line)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 128))
  })
  file.end()
  return code
}

async function runChecks(log: string): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skips: [] as string[], notes: [], failures: [] as string[] }
  for (const name of checks()) {
    const said: string[] = []
    const began = performance.now()
    const code = await follow(['sh', '-c', `npm run -s ${name} 2>&1`], log, (line) =>
      said.push(stripVTControlCharacters(line)),
    )
    say(`  ${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds(began).toFixed(1)} s)`)
    if (code === 0) tally.passed++
    else {
      tally.failed++
      tally.failures.push([name, ...said.slice(-30)].join('\n    '))
    }
  }
  return tally
}

const fileEnded = (file: string, ok: boolean, took: string) =>
  say(`  ${ok ? 'ok    ' : 'FAILED'} ${file}${took}`)

/** Suites whose files need no process of their own. */
const POOLED: ReadonlySet<string> = new Set(['unit', 'loopback'])

/** How files of a suite are run. */
function runnerOf(suite: string, log: string): RunFiles {
  if (!POOLED.has(suite)) {
    const env = { ...ENV, [RUN_FOLDER]: runFolder }
    return (files, ended) => runAlone(files, LANES[suite] ?? 2, log, env, ended)
  }
  const env = { ...ENV, ...COMPILED, TMPDIR: memoryFolder(), [SUITE]: suite }
  return (files, ended) => runPool(files, log, env, ended)
}

const seconds = (began: number) => (performance.now() - began) / 1000

/** @param path a file or a folder */
function testFiles(path: string): string[] {
  if (path.endsWith('.ts')) return [path]
  const dir = join(ROOT, path)
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(path, file))
}

/** @param name a suite, or a folder or file of one: `test/unit/core` */
async function runSuite(name: string): Promise<Outcome> {
  const suite = suiteOf(name)
  const log = join(LOGS, `${name.replaceAll('/', '-')}.log`)
  createWriteStream(log).end()
  const [began, cpuBefore] = [performance.now(), cpuSeconds()]
  say(`\n${name}`)
  const run = suite === 'check' ? undefined : runnerOf(suite, log)
  const files = testFiles(name === suite ? join('test', suite) : name)
  const first = run ? await firstRun(files, run, fileEnded) : { tally: await runChecks(log), again: [] }
  const cost = { seconds: seconds(began), cpuSeconds: cpuSeconds() - cpuBefore }
  return { ...first, ...cost, suite: name, log, ...(run && { run }) }
}

/** Runs what failed once more, when nothing else is left to run. */
async function judged(outcome: Outcome): Promise<Judged> {
  const { suite, seconds, cpuSeconds, log, run } = outcome
  if (run && outcome.again.length > 0) say(`\n${suite}, once more and alone: ${outcome.again.join(', ')}`)
  const tally = run ? await secondChance(outcome, run, fileEnded, calm) : outcome.tally
  return { ...tally, suite, seconds, cpuSeconds, log }
}

const suiteOf = (name: string): string => name.replace(/^test\//, '').split('/')[0] ?? name

const add = (outcomes: readonly Judged[], count: (o: Judged) => number) =>
  outcomes.reduce((sum, outcome) => sum + count(outcome), 0)

function table(outcomes: readonly Judged[]): string {
  const width = Math.max(13, ...outcomes.map(({ suite }) => suite.length)) + 1
  const row = (...cells: (string | number)[]) =>
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(width) : String(cell).padStart(9))).join('')
  const rows = outcomes.map((o) =>
    row(o.suite, o.passed, o.failed, o.skips.length, o.seconds.toFixed(1), o.cpuSeconds.toFixed(1)),
  )
  return [row('suite', 'passed', 'failed', 'skipped', 'seconds', 'CPU'), ...rows].join('\n')
}

/** A skip that no one notices loses coverage, so it fails the run in CI. */
function unexcused(outcomes: readonly Judged[]): string[] {
  if (process.env['CI'] !== 'true') return []
  return outcomes.flatMap((o) => o.skips.filter((reason) => !EXCUSED.test(reason)))
}

/** Says how to run a failed file by itself, and where all of its output is. */
function wayOn(failure: string, log: string): string {
  const file = /^test\/\S+\.test\.ts/.exec(failure)?.[0]
  const all = `log: ${relative(ROOT, log)}`
  return file === undefined ? all : `alone: npx tap ${file}    ${all}`
}

function report(outcomes: readonly Judged[]): number {
  for (const { suite, failures, log } of outcomes)
    for (const failure of failures) say(`\n${suite}: ${failure}\n    ${wayOn(failure, log)}`)
  say(`\n${table(outcomes)}\n`)
  const skips = outcomes.flatMap(({ suite, skips }) => skips.map((reason) => `${suite}: ${reason}`))
  for (const [reason, times] of countBy(skips)) say(`skipped${times > 1 ? ` ${times} times` : ''}: ${reason}`)
  for (const { suite, notes } of outcomes) for (const note of notes) say(`note: ${suite}: ${note}`)
  const notAllowed = unexcused(outcomes).length
  if (notAllowed > 0) say('CI=true: what was skipped counts as failed')
  const failed = add(outcomes, (o) => o.failed) + notAllowed
  const skipped = skips.length - notAllowed
  say(`${add(outcomes, (o) => o.passed)} passed, ${failed} failed, ${skipped} skipped`)
  return failed > 0 ? 1 : 0
}

function countBy(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}

async function main(names: readonly string[]): Promise<number> {
  const outcomes: Outcome[] = []
  for (const name of names) {
    if (name === 'check' || testFiles(join('test', suiteOf(name))).length > 0)
      outcomes.push(await runSuite(name))
    else say(`\n${name}: no tests yet`)
  }
  const verdicts: Judged[] = []
  for (const outcome of outcomes) verdicts.push(await judged(outcome))
  return report(verdicts)
}

mkdirSync(LOGS, { recursive: true })
try {
  process.exitCode = await main(process.argv.slice(2))
} finally {
  rmSync(runFolder, { recursive: true, force: true })
}
