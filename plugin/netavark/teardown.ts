/** `teardown`: DEL for netavark, without a failure. */

import { contextOf } from '../context.ts'
import { del } from '../del.ts'
import { readStdin, warn } from '../stdio.ts'
import { errorText } from './answer.ts'
import { attachmentInput, parseInput } from './input.ts'
import { withWaitLimits } from './wait-limits.ts'

/**
 * Podman would tell a person that the container cannot be stopped or removed, although it is gone. What cannot be taken
 * away is left to the next setup, to the gateway and to `flatnet gc`.
 */
export async function teardown(netns: string): Promise<void> {
  try {
    const { env, json } = attachmentInput('DEL', parseInput(readStdin()), netns)
    await del(withWaitLimits(contextOf(env, json)))
  } catch (err) {
    // Podman passes stderr on, so a person sees it.
    warn(`flatnet: teardown: ${errorText(err)}`)
  }
}
