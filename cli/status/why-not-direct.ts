/** The sentences of `flatnet status` about hosts that packets do not reach over UDP. Pure. */

import type { PathInfo } from '../../core/api.ts'
import { counted } from '../ui/output.ts'
import { duration } from './duration.ts'

/** A cluster of 254 hosts must not fill the screen. */
export const MAX_EXPLAINED = 10

/** One sentence for each host that packets do not reach directly: why, and when it is tried next. */
export function whyNotDirect(paths: readonly PathInfo[], now: number): string[] {
  const indirect = paths.filter((path) => path.p2p !== undefined && isNotDirect(path))
  const lines = indirect.slice(0, MAX_EXPLAINED).map(({ hostId, p2p }) => {
    const { reason = '', attempts = 0, nextAttemptAt } = p2p ?? {}
    const seconds = nextAttemptAt === undefined ? 0 : Math.ceil((Date.parse(nextAttemptAt) - now) / 1000)
    const next = seconds > 0 ? `; next try in ${duration(seconds * 1000)} (${attempts} so far)` : ''
    return `host ${hostId} is not direct: ${reason}${next}`
  })
  const more = indirect.length - lines.length
  return more > 0 ? [...lines, `${counted(more, 'more host')} not direct: flatnet status --json`] : lines
}

export const isNotDirect = ({ state }: PathInfo): boolean => state !== 'P2P_ACTIVE' && state !== 'LOCAL'
