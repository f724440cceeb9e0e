/** What a port mapping needs of the gateway and of the world. */

import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import type { Log } from '../../../../core/log.ts'
import type { Scheduler } from '../../../base/scheduler.ts'
import type { MappingRecord } from './record.ts'
import type { RouterWatchDeps } from './router-watch.ts'
import type { Answer, MappingRequest, RouterPlace } from './types.ts'

export interface PortMappingDeps extends Pick<RouterWatchDeps, 'askEpoch' | 'hear' | 'isMapped'> {
  /** In the order in which they are preferred; empty: switched off, and what was mapped before is deleted. */
  readonly protocols: readonly PortMappingProtocol[]
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly log: Log
  readonly record: MappingRecord
  /** 24 hex digits. */
  newNonce(): string
  /** Where the router is; `problem`: why there is none to ask. */
  place(): RouterPlace | { readonly problem: string }
  /** Whether a peer could be sent there. */
  mayOffer(external: string): boolean
  ask(
    protocols: readonly PortMappingProtocol[],
    place: RouterPlace,
    request: MappingRequest,
    signal: AbortSignal,
  ): Promise<Answer>
  /** There is a mapped address that was not there before. */
  made(): void
}
