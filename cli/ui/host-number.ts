/**
 * A host's number on the command line, within the bounds of every cluster.
 *
 * The gateway knows which of them are in use.
 */

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
