/** Decides the path to a host. Pure: facts in, decision out; probes, timers and routes live elsewhere. */

import type { PathState } from '../../core/api.ts'

export interface PathFacts {
  readonly ownHostId: number
  readonly hostId: number
}

export interface PathDecision {
  readonly state: PathState
  readonly via: string
  readonly reason: string
}

/** Today a gateway knows no peers: its own host is local, any other is out of reach. */
export function decidePath({ ownHostId, hostId }: PathFacts): PathDecision {
  if (hostId === ownHostId) return { state: 'LOCAL', via: 'local', reason: 'own host' }
  return { state: 'ISOLATED', via: 'none', reason: 'no link to this host' }
}
