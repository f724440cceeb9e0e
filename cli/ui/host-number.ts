/** The number of a host on the line, in the bounds that every cluster has; which of them are in use the gateway knows. */
import { UsageError } from './output.ts'

const MAX_HOST = 65_534

/**
 * @param what as it was written, e.g. `--host`
 * @throws {UsageError}
 */
export function hostNumber(what: string, value: number | undefined): number {
  if (value !== undefined && Number.isInteger(value) && value >= 1 && value <= MAX_HOST) return value
  const given = value === undefined || Number.isNaN(value) ? 'needs' : `is ${value}: it needs`
  throw new UsageError(
    `${what} ${given} the number of a host, from 1 to ${MAX_HOST}`,
    'flatnet hosts shows the numbers',
  )
}
