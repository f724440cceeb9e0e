/**
 * A timeline on stderr for those who look for milliseconds: `FLATNET_TRACE=1`.
 *
 * Otherwise it costs the test of a boolean.
 */

import { writeSync } from 'node:fs'

const STDERR = 2
const isOn = process.env['FLATNET_TRACE'] === '1'
/** ms since the process started (exec), which includes the start of the runtime. */
const sinceStart = (): number => process.uptime() * 1000

let last = 0

/** Says that `step` ended now: ms since the process started, and ms since the step before. */
export function mark(step: string): void {
  if (!isOn) return
  const now = sinceStart()
  writeSync(STDERR, `${now.toFixed(2).padStart(9)} ms  +${(now - last).toFixed(2).padStart(7)}  ${step}\n`)
  last = now
}
