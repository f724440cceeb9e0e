/**
 * The netavark dialect: `create`, `setup <netns>`, `teardown <netns>` and `info`, JSON on stdin and on stdout.
 *
 * Podman holds one lock for the host while a verb runs, so every wait in here is that of CNI's ADD: seconds at most.
 */

import { refuseProblems } from '../../conf/netconf.ts'
import { version } from '../../conf/version.ts'
import { FlatnetError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { attached } from '../add.ts'
import { contextOf } from '../context.ts'
import { del } from '../del.ts'
import { isTerminal } from '../log.ts'
import { print, readStdin, warn } from '../stdio.ts'
import { errorAnswer, errorText, setupAnswer } from './answer.ts'
import { create } from './create.ts'
import { attachmentInput, networkProblems, objectAt, parseInput, upstreamsOf } from './input.ts'
import { refuseRootless } from './rootless.ts'

/** Of the plugin API that these answers follow. */
const API_VERSION = '1.0.0'
const STDIN = 0

/** @param args the verb and, for setup and teardown, the path of the container's namespace @returns the exit code */
export async function answerNetavark([verb = '', netns = '']: readonly string[]): Promise<number> {
  if (verb === 'teardown') return teardown(netns)
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

async function setup(input: JsonObject, netns: string): Promise<void> {
  const { env, json } = attachmentInput('ADD', input, netns)
  refuseProblems(networkProblems(objectAt(input, 'network')))
  const context = contextOf(env, json)
  const upstreams = upstreamsOf(objectAt(input, 'network'))
  const { result, after } = attached({
    ...context,
    behindDns: 'nothing',
    conf: { ...context.conf, ...(upstreams.length > 0 && { upstreams }) },
  })
  print(JSON.stringify(setupAnswer(result, env.ifname)))
  await after()
}

/**
 * Never fails: Podman would tell a person that the container cannot be stopped or removed, although it is gone. What
 * cannot be taken away is left to the next setup and to `flatnet gc`.
 */
async function teardown(netns: string): Promise<number> {
  try {
    const { env, json } = attachmentInput('DEL', parseInput(readStdin()), netns)
    await del(contextOf(env, json))
  } catch (err) {
    // Podman passes stderr on, so a person sees it.
    warn(`flatnet: teardown: ${errorText(err)}`)
  }
  return 0
}
