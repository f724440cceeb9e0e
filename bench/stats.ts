/** Computes medians and the table's rows: a figure, its ratio to another, and whether it is within its bound. */

export interface Figure {
  readonly name: string
  readonly unit: string
  /** Median. */
  readonly value: number
  readonly p10: number
  readonly p90: number
}

/** One claim: `value` is a ratio, or a measured figure. */
export interface Row {
  readonly what: string
  readonly value: number
  readonly unit: 'ratio' | 'ms' | 'MiB' | '%' | '1/s'
  readonly bound: number
  readonly aim?: number
  /** Larger is better: the bound is a minimum. */
  readonly isMore?: boolean
}

export interface Claim {
  readonly title: string
  readonly figures: readonly Figure[]
  readonly rows: readonly Row[]
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const [low, high] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN]
  return low + (high - low) * (at - Math.floor(at))
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

export const figure = (name: string, values: readonly number[], unit = 'ms'): Figure => ({
  name,
  unit,
  value: median(values),
  p10: quantile(values, 0.1),
  p90: quantile(values, 0.9),
})

/** Rotates the order each time, so that a slow contestant does not always run before the same one. */
export const rotated = <T>(items: readonly T[], by: number): T[] => {
  const at = by % Math.max(1, items.length)
  return [...items.slice(at), ...items.slice(0, at)]
}

export const ratio = (what: string, a: Figure, b: Figure, bound: number, aim?: number): Row => ({
  what,
  value: a.value / b.value,
  unit: 'ratio',
  bound,
  ...(aim !== undefined && { aim }),
})

const fixed = (value: number, width: number): string =>
  (value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)).padStart(width)

const meets = ({ value, isMore }: Row, limit: number): boolean =>
  isMore === true ? value >= limit : value <= limit

export const isWithin = (row: Row): boolean => meets(row, row.bound)

export function renderClaim({ title, figures, rows }: Claim): string {
  const lines = figures.map(
    (f) =>
      `  ${f.name.padEnd(40)}${fixed(f.value, 9)} ${f.unit.padEnd(4)} (${fixed(f.p10, 0)} to ${fixed(f.p90, 0)})`,
  )
  const verdicts = rows.map((row) => {
    const verdict = !isWithin(row) ? 'MISSED' : row.aim !== undefined && meets(row, row.aim) ? 'aim' : 'ok'
    const aim = row.aim === undefined ? '' : `, aim ${row.aim}`
    const unit = row.unit === 'ratio' ? '' : ` ${row.unit}`
    return `  ${row.what.padEnd(52)}${fixed(row.value, 7)}${unit}  ${verdict.padEnd(6)} bound ${row.bound}${aim}`
  })
  return [title, ...lines, ...verdicts].join('\n')
}
