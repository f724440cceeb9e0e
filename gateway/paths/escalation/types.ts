/** What the escalation of one pair of hosts is decided from, what it remembers, and what it asks for. */

import type { Millis } from '../../../core/clock.ts'
import type { Damping, Rest } from './damping.ts'
import type { HealthMemory } from './health.ts'
import type { P2pCode, P2pReason } from './reasons.ts'
import type { RetrySchedule } from './retry-schedule.ts'

/** What the P2P process says of its session with the peer. */
export interface SessionFacts {
  readonly attempt: string
  readonly generation: number
  readonly isPromoted: boolean
  /** Five of five own round trips in a row, two of them full-size; false again when a burst of probes is not answered. */
  readonly isProven: boolean
  readonly isFullSize: boolean
  readonly address?: string | undefined
  readonly rttMs?: Millis | undefined
  readonly jitterMs?: Millis | undefined
  /** Round trips that were lost, of the last 40 probes. */
  readonly lossRate: number
  readonly peerLossRate?: number | undefined
  /** Since the session began; `window`: how many of the last 40 there are. */
  readonly probes: { readonly sent: number; readonly answered: number; readonly window: number }
  readonly rxBytes: number
  readonly txBps: number
  readonly rxBps: number
  /** Of the datagrams with packets that this host sent in the last 10 s or so, how many did not arrive. */
  readonly dataLossRate?: number | undefined
  /** Packets were sent in so many halves of a second since the last acknowledgement, and for so long. */
  readonly unacknowledged?: { readonly times: number; readonly forMs: Millis } | undefined
}

/** The way that packets would take without UDP: direct TLS, or a relay. */
export interface GatewayPathFacts {
  readonly isUp: boolean
  readonly rttMs?: Millis | undefined
  readonly jitterMs?: Millis | undefined
  /** The most that it carried in a second within the last 10 minutes, bits per second. */
  readonly peakBps?: number | undefined
}

export interface EscalationFacts {
  /** Monotonic. */
  readonly now: Millis
  /** 0 to 1, fresh. */
  readonly random: number
  /** 16 hex digits, fresh: the name of a try, should one begin. */
  readonly newAttempt: string
  /** The lower hostId offers and promotes. */
  readonly isLeader: boolean
  /** Why no UDP path can be had with this peer; undefined: one can. */
  readonly obstacle?: P2pReason | undefined
  /** Whether the control link stands: over it keys are made and promotions agreed. */
  readonly canSignal: boolean
  readonly gateway: GatewayPathFacts
  /** Undefined: the process has none with this peer. */
  readonly session?: SessionFacts | undefined
}

type Phase =
  /** No try was made since the obstacle went. */
  | 'idle'
  /** Leader: the offer is out. */
  | 'offered'
  /** The P2P process sends probes. */
  | 'proving'
  /** Leader: the peer was asked. */
  | 'asking'
  /** The own process was asked for the route. */
  | 'installing'
  | 'active'
  /** A try failed, or the path was demoted. */
  | 'waiting'

export interface Escalation {
  readonly phase: Phase
  /** Since when, monotonic. */
  readonly since: Millis
  readonly reason: P2pReason
  /** Why packets left UDP, or the last try failed; undefined: neither happened, or UDP carries packets. */
  readonly problem?: P2pReason | undefined
  /** Of the session; undefined: no key was agreed. */
  readonly attempt?: string | undefined
  /** The highest that either host has named: rises with each promotion and demotion. */
  readonly generation: number
  readonly attempts: number
  readonly schedule: RetrySchedule
  readonly damping: Damping
  readonly rest?: Rest | undefined
  /** Packets are not moved to UDP before. */
  readonly dwellUntil: Millis
  /** Demotions by choice in a row: each doubles the next one's dwell. */
  readonly choices: number
  /** Since when UDP carries packets; undefined: it does not. */
  readonly activeAt?: Millis | undefined
  readonly health?: HealthMemory | undefined
  /** Whether the session was proven when last looked at. */
  readonly wasProven: boolean
  /** Follower: when the leader says that it tries next. */
  readonly leaderNextAt?: Millis | undefined
  /** When a person last ended all waits. */
  readonly pardonedAt?: Millis | undefined
  /** While suppressed: when the process was last asked whether UDP would work. */
  readonly askedAt?: Millis | undefined
}

/** Messages of the `p2p.` prefix as the escalation sees them; addresses and keys travel beside it. */
export type PeerMessage =
  | { readonly type: 'p2p.request'; readonly reason: string }
  | { readonly type: 'p2p.offer'; readonly attempt: string; readonly generation: number }
  | { readonly type: 'p2p.answer'; readonly attempt: string }
  | { readonly type: 'p2p.refuse'; readonly attempt: string; readonly reason: string }
  | { readonly type: 'p2p.promote'; readonly attempt: string; readonly generation: number }
  | { readonly type: 'p2p.promoted'; readonly attempt: string; readonly generation: number }
  | {
      readonly type: 'p2p.notReady'
      readonly attempt: string
      readonly generation: number
      readonly reason: string
    }
  | {
      readonly type: 'p2p.demote'
      readonly attempt: string
      readonly generation: number
      readonly reason: string
    }
  /** What the sender does: at each new link, and of the leader when its plan changes. */
  | {
      readonly type: 'p2p.state'
      readonly attempt?: string | undefined
      readonly generation: number
      readonly isPromoted: boolean
      readonly retryInMs?: Millis | undefined
    }

export type ResetCause =
  | 'network changed'
  | 'peer restarted'
  | 'new endpoint'
  | 'resumed'
  | 'peer asks'
  | 'process started'
  | 'operator'

export type Input =
  /** Time passed, or the facts changed. */
  | { readonly type: 'tick' }
  | { readonly type: 'message'; readonly message: PeerMessage }
  /** The link came up, or is another one. */
  | { readonly type: 'linkUp' }
  | { readonly type: 'installed'; readonly attempt: string }
  | { readonly type: 'notInstalled'; readonly attempt: string; readonly reason: string }
  /** The process took the route away, asked or not. */
  | { readonly type: 'removed'; readonly attempt: string; readonly reason: string }
  | { readonly type: 'ended'; readonly attempt: string; readonly reason: string }
  | { readonly type: 'reset'; readonly cause: ResetCause }

export type Action =
  | { readonly type: 'send'; readonly message: PeerMessage }
  /** The session of this try, with keys of the link and the addresses of the peer's offer or answer. */
  | { readonly type: 'startSession'; readonly attempt: string }
  | { readonly type: 'install'; readonly attempt: string; readonly generation: number }
  | { readonly type: 'remove'; readonly generation: number; readonly code: P2pCode }
  | { readonly type: 'endSession'; readonly code: P2pCode }
  | { readonly type: 'probeNow' }

export interface Step {
  readonly state: Escalation
  readonly actions: readonly Action[]
}
