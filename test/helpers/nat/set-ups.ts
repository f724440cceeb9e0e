/**
 * What is promised of hosts that have no hub, need none, or have a TURN server besides. docs/architecture/nat.md shows
 * it.
 */
import type { TierName } from '../../../core/api.ts'

export interface SetUp {
  readonly text: string
  readonly tier: TierName
  /** From the first offer, or the first letter, until both hosts send by UDP. */
  readonly withinMs: number
  /** What it should take on a machine that does nothing else. */
  readonly aimMs: number
}

export const SET_UPS = {
  lan: { text: 'two hosts in one LAN', tier: 'ipv4', withinMs: 500, aimMs: 200 },
  chain: {
    text: 'two cone NATs without a hub: members in a chain carry the offers',
    tier: 'punch',
    withinMs: 2_000,
    aimMs: 1_000,
  },
  turn: { text: 'two symmetric NATs, `paths.turn`', tier: 'ice', withinMs: 3_000, aimMs: 1_000 },
  turnToPortRestricted: {
    text: 'symmetric and port-restricted, `paths.turn`',
    tier: 'ice',
    withinMs: 3_000,
    aimMs: 1_000,
  },
} as const satisfies Readonly<Record<string, SetUp>>

/** The table as the document shows it. */
export function setUpTable(): string {
  const rows = Object.values(SET_UPS).map(({ aimMs, text, tier, withinMs }) =>
    [text, tier, `${withinMs / 1_000} s`, `${aimMs / 1_000} s`].join(' | '),
  )
  return ['set-up | tier | bound | aim', '--- | --- | --- | ---', ...rows]
    .map((row) => `| ${row} |`)
    .join('\n')
}
