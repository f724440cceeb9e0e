/**
 * Runs all harnesses in turns for so many minutes; bin/fuzz starts it.
 *
 * Prints for each parser how many inputs it had, how many it broke on, and the slowest; exits with 1 after a find.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { makeCa } from '../../../gateway/cluster/identity/certificates.ts'
import { type Harness, harnesses } from './harnesses.ts'
import { mutated } from './mutation.ts'

/** Inputs between two looks at the clock. */
const TURN = 1_000
/** CPU time of a parser's turn: one that is fast has more inputs. */
const TURN_MS = 1_000
/** CPU time of one input, so that a busy machine finds nothing. */
const MAX_MS = 100
const MAX_GROWTH_MB = 256
const MB = 1_000_000

export interface Outcome {
  readonly name: string
  inputs: number
  slowestMs: number
  readonly finds: string[]
}

const cpuMs = (run: () => void): number => {
  const before = process.threadCpuUsage()
  run()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1000
}

/** @throws when the parser breaks a promise; @returns the CPU time */
function tried({ run, maxMs = MAX_MS }: Harness, bytes: Buffer): number {
  let ms = cpuMs(() => run(bytes))
  // The engine's own work, e.g. a collection, is not there again.
  for (let again = 0; ms > maxMs && again < 2; again++)
    ms = Math.min(
      ms,
      cpuMs(() => run(bytes)),
    )
  if (ms > maxMs) throw new Error(`${Math.round(ms)} ms for ${bytes.length} bytes`)
  return ms
}

/** One turn of a parser. @param seed of the random inputs, so that a find can be made again */
export function fuzzOnce(harness: Harness, outcome: Outcome, inputs: number, seed: number): void {
  const property = fc.property(mutated(harness.seeds, harness.words), (bytes) => {
    outcome.inputs++
    outcome.slowestMs = Math.max(outcome.slowestMs, tried(harness, bytes))
  })
  const before = process.memoryUsage().rss
  const { failed, counterexample, errorInstance } = fc.check(property, { numRuns: inputs, seed })
  const grown = (process.memoryUsage().rss - before) / MB
  const hex = counterexample?.[0].toString('hex') ?? ''
  if (failed) outcome.finds.push(`seed ${seed}: ${hex}\n${String(errorInstance)}`)
  if (grown > MAX_GROWTH_MB) outcome.finds.push(`seed ${seed}: memory grew by ${Math.round(grown)} MB`)
}

function report(outcomes: readonly Outcome[]): void {
  const sum = outcomes.reduce((all, { inputs }) => all + inputs, 0)
  for (const { name, inputs, slowestMs, finds } of outcomes) {
    const columns = [name.padEnd(16), String(inputs).padStart(9), String(finds.length).padStart(5)]
    process.stdout.write(`${columns.join(' ')} ${slowestMs.toFixed(1).padStart(7)} ms\n`)
    for (const find of finds) process.stdout.write(`  ${find}\n`)
  }
  process.stdout.write(`${sum} inputs, ${outcomes.flatMap(({ finds }) => finds).length} finds\n`)
}

async function main(minutes: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'flatnet-fuzz-'))
  try {
    const all = harnesses({ folder, ca: await makeCa('testing', Date.now()) })
    const outcomes = all.map(({ name }): Outcome => ({ name, inputs: 0, slowestMs: 0, finds: [] }))
    const end = performance.now() + minutes * 60_000
    let seed = Date.now() & 0x7fff_ffff
    while (performance.now() < end)
      for (const [n, harness] of all.entries()) {
        const outcome = outcomes[n]!
        let usedMs = 0
        // One find is enough: the next would be the same.
        while (usedMs < TURN_MS && performance.now() < end && outcome.finds.length === 0)
          usedMs += cpuMs(() => fuzzOnce(harness, outcome, TURN, seed++))
      }
    report(outcomes)
    if (outcomes.some(({ finds }) => finds.length > 0)) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === import.meta.filename) await main(Number(process.argv[2] ?? 1))
