/** What the gateway's side of the UDP paths needs of the other parts. */

import type { TiersConf } from '../../../conf/tiers.ts'
import type { Prefix4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { GatewayPathFacts } from '../../paths/escalation/types.ts'
import type { OwnAddresses } from './own-addresses.ts'
import type { P2pLinks } from './p2p-links.ts'
import type { ToProcess } from './protocol.ts'

export interface P2pTransportDeps {
  readonly hostId: number
  readonly overlay: Prefix4
  readonly tiers: TiersConf
  readonly conf: { readonly enabled: boolean; readonly off: ReadonlySet<number> }
  readonly scheduler: Scheduler
  readonly random: () => number
  /** 16 hex digits. */
  readonly newAttempt: () => string
  readonly log: Log
  readonly links: P2pLinks
  /** The P2P process; `problem`: why it is not connected. */
  readonly process: { readonly problem: string | undefined; send(message: ToProcess): boolean }
  /** Other hosts that are members. */
  members(): readonly number[]
  /** Why a member gets no packets, e.g. quarantine; undefined: it does. */
  refusalOf(hostId: number): string | undefined
  gatewayPath(hostId: number): GatewayPathFacts
  validUntil(hostId: number): Millis
  readonly addresses: Pick<
    OwnAddresses,
    | 'candidates'
    | 'connected'
    | 'forget'
    | 'isSymmetric'
    | 'networkChanged'
    | 'observed'
    | 'portMapped'
    | 'relayed'
    | 'said'
    | 'tick'
    | 'udp'
  >
  count(name: 'offered' | 'promoted' | 'demoted' | 'refused', hostId: number, reason?: string): void
}
