/** Remembers how long each test file took, so that the next run begins with the longest. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ROOT } from './executable.ts'
import { LONG_FILES } from './long-files.ts'

const TIMES = join(ROOT, '.build/test-times.json')

/** ms by the path of the file. */
export type Times = Record<string, number>

export function lastTimes(): Times {
  try {
    return JSON.parse(readFileSync(TIMES, 'utf8'))
  } catch {
    return {}
  }
}

/**
 * Long files must not come last. Without times of a run, a list of long ones and the size of the others are good
 * guesses.
 */
export function longestFirst(files: readonly string[], times: Times): string[] {
  const guess = new Map(files.map((file) => [file, times[file] ?? guessOf(file)]))
  return files.toSorted((a, b) => (guess.get(b) ?? 0) - (guess.get(a) ?? 0))
}

const guessOf = (file: string): number =>
  (LONG_FILES[file] ?? 0) * 1_000 || statSync(resolve(ROOT, file)).size

/** The longest `timeout: 420_000` that the tests of a file give themselves, ms; 0: they give none. */
export function ownLimitOf(file: string): number {
  const limits = readFileSync(resolve(ROOT, file), 'utf8').matchAll(/\btimeout: (\d[\d_]*)/g)
  return Math.max(0, ...[...limits].map(([, ms = '']) => Number(ms.replaceAll('_', ''))))
}

export function keepTimes(times: Times): void {
  const known = Object.entries(times).filter(([file]) => existsSync(resolve(ROOT, file)))
  writeFileSync(TIMES, JSON.stringify(Object.fromEntries(known)))
}
