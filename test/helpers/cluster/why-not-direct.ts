/** What a person reads of a pair that is not direct: the sentence of `flatnet status`, and the document's advice. */
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { PathInfo } from '../../../core/api.ts'
import type { Status } from '../../../gateway/api/status.ts'
import { inRepo } from '../run/sources.ts'
import { waitFor } from '../run/wait.ts'
import type { TestHost } from './hosts.ts'

const PAGE = 'docs/operations/why-not-direct.md'

/** Cells of each row: what is printed, in backquotes, and what to do. */
const rows = readFileSync(inRepo(PAGE), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.slice(2, -2).split(' | '))

/** What the document says to do about a sentence; undefined: it does not name the sentence. */
export function adviceOn(sentence: string): string | undefined {
  const isNamed = ([printed = '']: readonly string[]): boolean =>
    [...printed.matchAll(/`([^`]+)`/g)].some(([, quoted = '']) =>
      sentence.startsWith(quoted.replace(/(: )?…$/, '')),
    )
  return rows.find(isNamed)?.[1]
}

/**
 * Waits until the host says this sentence of its path to the other one, in the API, in `flatnet status --json` and in
 * what it prints; and looks it up in the document, as the reader would.
 */
export async function saysWhy(t: Test, host: TestHost, to: number, sentence: string): Promise<void> {
  const who = `host ${host.index} of host ${to}`
  let last: string | undefined
  await waitFor(`${who}: ${sentence}`, 60_000, async () => {
    last = (await host.api<PathInfo>(`/v1/paths/${to}`)).p2p?.reason
    return last?.includes(sentence)
  }).catch((cause) => {
    throw new Error(`${who}: ${last} and not: ${sentence}`, { cause })
  })
  const line = await waitFor(`status of ${who}: ${sentence}`, 30_000, async () => {
    const printed = (await host.ok('status')).replaceAll('\n', ' ')
    const [, rest = ''] = printed.split(`host ${to} is not direct: `)
    const own = rest.split(/ host \d+ is not direct: /)[0] ?? ''
    return own.includes(sentence) ? own.trim() : undefined
  })
  // By now the hosts may have tried again, so this is asked until it says it too.
  await waitFor(`status --json of ${who}: ${sentence}`, 30_000, async () => {
    const status: Status = JSON.parse(await host.ok('status', '--json'))
    const path = status.paths.find(({ hostId }) => hostId === to)
    return path?.via !== 'p2p' && path?.p2p?.reason.includes(sentence)
  })
  t.comment(`${who}: ${line}`)
  const advice = adviceOn(sentence)
  t.ok(advice !== undefined && advice.length > 10, `${PAGE}: ${sentence}: ${advice}`)
}
