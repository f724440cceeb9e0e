/** The bundle of the verbs in the packed executable; packed.ts runs it. */

import { exitNow } from 'netlink-ts/libc.ts'
import type { Env } from '../plugin/env.ts'
import { runNetavark, runVerb } from '../plugin/verbs.ts'

export { runNetavark, runVerb }

/**
 * Runs a verb and does not return: all is written and nothing is open, and Node's own end would wait for its threads.
 */
export async function runAndEnd(env: Env): Promise<number> {
  const code = await runVerb(env)
  exitNow(code)
  return code
}
