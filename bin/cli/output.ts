/** What commands write: tables of at most 100 columns, JSON, and errors that say what to do next. */

/** The two streams of a command; tests give it their own. */
export interface Io {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
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
const GAP = '  '

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  /** Width below which the column is not cut when the table is too wide; absent: never cut. */
  readonly min?: number
}

function cut(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}…`
}

/** Control characters of foreign names would move the cursor of whoever reads the table. */
const printable = (text: string): string => text.replaceAll(/\p{C}/gu, '?')

/** Lines of a table, header first. What does not fit in 100 columns is cut in the widest column that may be cut. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [
    columns.map((c) => c.title),
    ...rows.map((row) => columns.map((c) => printable(c.value(row)))),
  ]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)))
  const total = (): number => widths.reduce((sum, w) => sum + w, 0) + GAP.length * (columns.length - 1)
  while (total() > MAX_COLUMNS) {
    const spare = columns.map((c, i) => (c.min === undefined ? 0 : (widths[i] ?? 0) - c.min))
    const widest = spare.indexOf(Math.max(...spare))
    if ((spare[widest] ?? 0) <= 0) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return cells
    .map((line) =>
      line
        .map((cell, i) => cut(cell, widths[i] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join('\n')
}

export const printJson = (io: Io, value: unknown): void => {
  io.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
}

export const printLine = (io: Io, text = ''): void => {
  io.stdout.write(`${text}\n`)
}

/** Breaks `text` at blanks so that no line is longer than 100 columns with `indent` before it. */
export function wrap(text: string, indent = ''): string {
  const lines: string[] = []
  let line = indent
  for (const word of text.split(' ')) {
    if (line.length > indent.length && line.length + 1 + word.length > MAX_COLUMNS) {
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
  // Not raised on purpose: whoever reports it needs to say where it was.
  if (err instanceof TypeError || err instanceof ReferenceError) return `flatnet: ${err.stack}\n`
  const lines = [`flatnet: ${err.message}`]
  if ('problems' in err && Array.isArray(err.problems)) lines.push(...err.problems.map((p) => `  - ${p}`))
  for (let e = err.cause; e instanceof Error; e = e.cause) lines.push(`  because: ${e.message}`)
  if (err instanceof CliError) lines.push(`  next: ${err.next}`)
  return `${lines.join('\n')}\n`
}
