/** Remembers how long each test file took, so that the next run begins with the longest. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ROOT } from './executable.ts'

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

/** Long files must not come last. Without times, the size of a file is a good guess. */
export function longestFirst(files: readonly string[], times: Times): string[] {
  const guess = new Map(files.map((file) => [file, times[file] ?? statSync(resolve(ROOT, file)).size / 10]))
  return files.toSorted((a, b) => (guess.get(b) ?? 0) - (guess.get(a) ?? 0))
}

export function keepTimes(times: Times): void {
  const known = Object.entries(times).filter(([file]) => existsSync(resolve(ROOT, file)))
  writeFileSync(TIMES, JSON.stringify(Object.fromEntries(known)))
}
