/** What commands write: tables of at most 100 columns, JSON, and errors that say what to do next. */
import type { Readable } from 'node:stream'
import { printable } from '../../core/printable.ts'

/** The two streams of a command; tests give it their own. */
export interface Io {
  /** `columns`: of the terminal; undefined where it is none. */
  readonly stdout: { write(text: string): unknown; readonly columns?: number }
  readonly stderr: { write(text: string): unknown }
  /** Absent where a command can ask for nothing. */
  readonly stdin?: Readable & { readonly isTTY?: boolean }
}

/** Something the person at the keyboard can put right; `next` says how, in one sentence or command. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly next: string
  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, options)
    this.next = next
  }
}

/** The line was not understood: exit code 2. */
export class UsageError extends CliError {}

export const MAX_COLUMNS = 100
/** Tables have nothing left to cut below it. */
const MIN_COLUMNS = 80
const GAP = '  '

/** Of what is written to `io`. A terminal that does not say (0) is like none. */
export const widthOf = ({ stdout }: Io): number =>
  Math.min(MAX_COLUMNS, Math.max(MIN_COLUMNS, stdout.columns || MAX_COLUMNS))

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  /** Width below which the column is not cut when the table is too wide; absent: never cut. */
  readonly min?: number
  /** Left out when the table is too wide without it being so. */
  readonly isSpare?: boolean
  /** Of the last column: what would be cut stands whole below its row. */
  readonly wraps?: boolean
}

function cut(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}…`
}

function widthsOf(cells: readonly (readonly string[])[], mins: readonly (number | undefined)[], max: number) {
  const widths = mins.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)))
  const total = (): number => widths.reduce((sum, w) => sum + w, 0) + GAP.length * (widths.length - 1)
  while (total() > max) {
    const spare = mins.map((min, i) => (min === undefined ? 0 : (widths[i] ?? 0) - min))
    const widest = spare.indexOf(Math.max(...spare))
    if ((spare[widest] ?? 0) <= 0) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return { widths, fits: total() <= max }
}

/** The lines of one row, below one another where its last cell wraps. */
function linesOf(cells: readonly string[], widths: readonly number[], wraps: boolean, max: number): string {
  const line = (parts: readonly string[]): string =>
    parts
      .map((cell, i) => cut(cell, widths[i] ?? 0))
      .join(GAP)
      .trimEnd()
  const last = cells.at(-1) ?? ''
  if (!wraps || last.length <= (widths.at(-1) ?? 0)) return line(cells)
  const indent = ' '.repeat((widths[0] ?? 0) + GAP.length)
  // A reason may hold what a peer wrote, so a word can be longer than a line.
  const longWord = new RegExp(`\\S{${max - indent.length}}(?=\\S)`, 'g')
  return `${line(cells.slice(0, -1))}\n${wrap(last.replace(longWord, '$& '), indent, max)}`
}

/**
 * Lines of a table, header first. What does not fit is cut in the widest column that may be cut, then spare columns go.
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], max = MAX_COLUMNS): string {
  const cells = [
    columns.map((c) => c.title),
    ...rows.map((row) => columns.map((c) => printable(c.value(row)))),
  ]
  const mins = columns.map((c) => c.min)
  const { widths, fits } = widthsOf(cells, mins, max)
  if (!fits && columns.some((c) => c.isSpare)) {
    return table(
      columns.filter((c) => !c.isSpare),
      rows,
      max,
    )
  }
  const wraps = columns.at(-1)?.wraps ?? false
  return cells.map((line) => linesOf(line, widths, wraps, max)).join('\n')
}

/** `1 host`, `2 hosts`. */
export const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

export const printJson = (io: Io, value: unknown): void => {
  io.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
}

export const printLine = (io: Io, text = ''): void => {
  io.stdout.write(`${text}\n`)
}

/** Breaks `text` at blanks so that no line is longer than `max` columns with `indent` before it. */
export function wrap(text: string, indent = '', max = MAX_COLUMNS): string {
  const lines: string[] = []
  let line = indent
  for (const word of text.split(' ')) {
    if (line.length > indent.length && line.length + 1 + word.length > max) {
      lines.push(line)
      line = indent
    }
    line += line.length > indent.length ? ` ${word}` : word
  }
  return [...lines, line].join('\n')
}

/** An error as text for stderr: what happened, its cause, every problem of a configuration, and what to do next. */
export function explain(err: unknown): string {
  if (!(err instanceof Error)) return `flatnet: ${String(err)}\n`
  // Not raised on purpose: the report needs to say where it was.
  if (err instanceof TypeError || err instanceof ReferenceError) return `flatnet: ${err.stack}\n`
  const lines = [`flatnet: ${err.message}`]
  if ('problems' in err && Array.isArray(err.problems)) lines.push(...err.problems.map((p) => `  - ${p}`))
  for (let e = err.cause; e instanceof Error; e = e.cause) lines.push(`  because: ${e.message}`)
  if (err instanceof CliError) lines.push(`  next: ${err.next}`)
  return `${lines.join('\n')}\n`
}
