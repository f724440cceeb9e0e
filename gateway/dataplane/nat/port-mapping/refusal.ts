/** Says why a router was not asked or did not answer, in few words. */

import { hasCode } from '../../../../core/errors.ts'
import type { Refusal } from './types.ts'

export const NO_ANSWER: Refusal = { refused: 'no answer' }
/** Nothing listens at that port. */
export const NOT_SPOKEN: Refusal = { refused: 'not spoken there' }
export const GIVEN_UP: Refusal = { refused: 'given up' }

/** Of a socket, a request or a wait that was ended. */
export function refusalBy(err: unknown): Refusal {
  if (hasCode(err, 'ECONNREFUSED')) return NOT_SPOKEN
  const { name, message } = err instanceof Error ? err : new Error(String(err))
  // By AbortSignal: of the caller, or of the clock.
  if (name === 'AbortError' || name === 'TimeoutError') return NO_ANSWER
  return { refused: `could not be asked (${message})` }
}
