/** Reads the TAP of a whole run: how many assertions, which failed with what, which were skipped and why. */

export interface Tally {
  readonly passed: number
  readonly failed: number
  /** One per skipped or to-do test: `reason` or, without one, the name. */
  readonly skips: readonly string[]
  /** Lines that a test wants printed at the end: comments that begin with `note: `. */
  readonly notes: readonly string[]
  /** Each failed assertion with its place and diagnostics, several lines. */
  readonly failures: readonly string[]
}

export type FileEnded = (file: string, ok: boolean, took: string) => void

/** Adds up the tallies of several readers. */
export function sumOf(tallies: readonly Tally[]): Tally {
  return {
    passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
    failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
    skips: tallies.flatMap(({ skips }) => skips),
    notes: [...new Set(tallies.flatMap(({ notes }) => notes))],
    failures: tallies.flatMap(({ failures }) => failures),
  }
}

const POINT = /^( *)(not )?ok \d+(?: - (.*?))?(?: # (SKIP|TODO)\b ?(.*?))?(?: # time=([\d.]+)ms)?(?: \{)?$/i
const SUBTEST = /^( *)# Subtest: (.*)$/
/** The comment that `joinedHosts` prints. */
const SETUP = /^ *# setup: (\d+) ms$/
const NOTE = /^ *# note: (.*)$/
const SUMMARY = /^# \{ (.*) \}$/
const MAX_DIAGNOSTIC_LINES = 25
const MAX_FAILURES = 40

/** Feed it every line of stdout, then ask `end`. Reports each test file as it ends. */
export class TapReader {
  readonly #fileEnded: FileEnded
  #summary: Map<string, number> | undefined
  readonly #skips: string[] = []
  readonly #notes = new Set<string>()
  readonly #failures: string[][] = []
  /** Names of the open subtests by depth. */
  readonly #open: string[] = []
  /** ms of set-up that the open file has reported. */
  #setupMs = 0
  /** How many lines of diagnostics to take for the last failure. */
  #wanted = 0

  constructor(fileEnded: FileEnded) {
    this.#fileEnded = fileEnded
  }

  line(line: string): void {
    const summary = SUMMARY.exec(line)
    if (summary?.[1] !== undefined) {
      this.#summary = new Map(
        summary[1].split(', ').map((pair): [string, number] => {
          const [key = '', value = '0'] = pair.split(': ')
          return [key, Number(value)]
        }),
      )
      return
    }
    const note = NOTE.exec(line)?.[1]
    if (note !== undefined) this.#notes.add(note)
    this.#setupMs += Number(SETUP.exec(line)?.[1] ?? 0)
    const subtest = SUBTEST.exec(line)
    if (subtest) this.#open[depthOf(subtest[1])] = subtest[2] ?? ''
    const point = POINT.exec(line)
    if (point) this.#point(point)
    else if (this.#wanted > 0) {
      this.#wanted = line.trim() === '...' ? 0 : this.#wanted - 1
      this.#failures.at(-1)?.push(line)
    }
  }

  #point(point: RegExpExecArray): void {
    const [, indent = '', not, name = '', directive, reason, time] = point
    const depth = depthOf(indent)
    this.#wanted = 0
    if (directive) this.#skips.push(reason || `${name} (no reason given)`)
    else if (not && depth > 0) this.#failed(depth, name)
    if (depth === 0) this.#fileEnded(name, !not, this.#took(Number(time ?? 0)))
  }

  /** ` (12.3 s)`, or ` (12.3 s: setup 2.1, test 10.2)`; a set-up of the next file starts at 0. */
  #took(ms: number): string {
    const setupMs = this.#setupMs
    this.#setupMs = 0
    if (ms === 0) return ''
    const [all, setup, test] = [ms, setupMs, ms - setupMs].map((part) => (part / 1000).toFixed(1))
    return setupMs === 0 ? ` (${all} s)` : ` (${all} s: setup ${setup}, test ${test})`
  }

  /** A subtest fails with its assertions; only the innermost failure is reported. */
  #failed(depth: number, name: string): void {
    const parents = this.#open.slice(0, depth)
    const known = this.#failures.some(([head]) => head?.startsWith([...parents, name].join(' > ')))
    if (known || this.#failures.length >= MAX_FAILURES) return
    this.#failures.push([[...parents, name].join(' > ')])
    this.#wanted = MAX_DIAGNOSTIC_LINES
  }

  end(exitCode: number): Tally {
    const count = (key: string) => this.#summary?.get(key) ?? 0
    const failures = this.#failures.map((lines) => lines.join('\n    '))
    let failed = count('fail')
    if (!this.#summary || (exitCode !== 0 && failed === 0)) {
      failed++
      failures.push(`tap ended with ${exitCode} and ${this.#summary ? 'no failed assertion' : 'no summary'}`)
    } else if (count('total') === 0) {
      failed++
      failures.push('no test ran')
    }
    return { passed: count('pass'), failed, skips: this.#skips, notes: [...this.#notes], failures }
  }
}

const depthOf = (indent = ''): number => Math.floor(indent.length / 4)
