/** The netavark dialect: `create`, `setup <netns>`, `teardown <netns>` and `info`, JSON on stdin and on stdout. */

import { version } from '../../conf/version.ts'
import { FlatnetError } from '../../core/errors.ts'
import { isTerminal } from '../log.ts'
import { print, readStdin } from '../stdio.ts'
import { errorAnswer } from './answer.ts'
import { create } from './create.ts'
import { parseInput } from './input.ts'
import { refuseRootless } from './rootless.ts'
import { setup } from './setup.ts'
import { teardown } from './teardown.ts'

/** Of the plugin API that these answers follow. */
const API_VERSION = '1.0.0'
const STDIN = 0

/** @param args the verb and, for setup and teardown, the path of the container's namespace @returns the exit code */
export async function answerNetavark([verb = '', netns = '']: readonly string[]): Promise<number> {
  if (verb === 'teardown') {
    await teardown(netns)
    return 0
  }
  try {
    await answer(verb, netns)
    return 0
  } catch (err) {
    print(JSON.stringify(errorAnswer(err)))
    return 1
  }
}

async function answer(verb: string, netns: string): Promise<void> {
  if (verb === 'info') return print(JSON.stringify({ version: version(), api_version: API_VERSION }))
  if (isTerminal(STDIN))
    throw new FlatnetError(
      'ERR_FLATNET_ENV',
      `Podman runs "${verb}" and writes JSON to it; people run "flatnet install"`,
    )
  refuseRootless()
  const input = parseInput(readStdin())
  if (verb === 'create') return print(JSON.stringify(create(input)))
  await setup(input, netns)
}
