/** The facts, memory, messages and actions of one pair of hosts' escalation. */

import type { Millis } from '../../../core/clock.ts'
import type { Damping, Rest } from './damping.ts'
import type { HealthMemory } from './health.ts'
import type { P2pCode, P2pReason } from './reasons.ts'
import type { RetrySchedule } from './retry-schedule.ts'

/** What the P2P process reports about its session with the peer. */
export interface SessionFacts {
  readonly attempt: string
  readonly generation: number
  readonly isPromoted: boolean
  /** Five round trips in a row, two of them full-size. False again when a burst of probes stays without an answer. */
  readonly isProven: boolean
  readonly isFullSize: boolean
  readonly address?: string | undefined
  /** Undefined: no probe was answered since the session began, or since its path was lost. */
  readonly rttMs?: Millis | undefined
  readonly jitterMs?: Millis | undefined
  /** Share of the last 40 probes that got no answer, 0 to 1. */
  readonly lossRate: number
  /** The same of the peer's probes, by its own count; undefined: nothing was heard of the peer since then. */
  readonly peerLossRate?: number | undefined
  /** Since the session began. `window`: how many probes `lossRate` covers, 40 at most. */
  readonly probes: { readonly sent: number; readonly answered: number; readonly window: number }
  readonly txBps: number
  readonly rxBps: number
  /** Share of the datagrams with packets that did not arrive, 0 to 1, over the last 10 s or so of sending. */
  readonly dataLossRate?: number | undefined
  /** Since the last acknowledgement: in how many half seconds this host sent packets, and for how long. */
  readonly unacknowledged?: { readonly times: number; readonly forMs: Millis } | undefined
}

/** The path that packets would take without UDP: direct TLS, or a relay. */
export interface GatewayPathFacts {
  readonly isUp: boolean
  readonly rttMs?: Millis | undefined
  readonly jitterMs?: Millis | undefined
  /** The most that it carried in a second within the last 10 minutes, bits per second. */
  readonly peakBps?: number | undefined
}

/** `silent`: all that a host asks over UDP, others than the peer among it, leave it without an answer. */
export type UdpOutside = 'works' | 'silent'

export interface EscalationFacts {
  /** Monotonic. */
  readonly now: Millis
  /** 0 to 1, fresh. */
  readonly random: number
  /** 16 fresh hex digits: the name of the next try, if one begins now. */
  readonly newAttempt: string
  /** The lower hostId offers and promotes. */
  readonly isLeader: boolean
  /** Why UDP is ruled out with this peer; undefined: it is not. */
  readonly obstacle?: P2pReason | undefined
  /** Why the peer has no UDP path with this host, by its own words or its silence. Shown, and decides nothing. */
  readonly peerObstacle?: P2pReason | undefined
  /** Whether the control link is up: the hosts agree on keys and promotions over it. */
  readonly canSignal: boolean
  readonly gateway: GatewayPathFacts
  /** How long a try may take (paths.tiers); undefined: 10 s. */
  readonly proveMs?: Millis | undefined
  /** Undefined: the process has no session with this peer. */
  readonly session?: SessionFacts | undefined
  /** Whose NAT gives each destination another port. Shown, and decides nothing. */
  readonly symmetric?: { readonly here: boolean; readonly there: boolean } | undefined
  /** Whether any STUN server answers either host; undefined: not known. Shown, and decides nothing. */
  readonly udp?: { readonly here: UdpOutside | undefined; readonly there: UdpOutside | undefined } | undefined
}

type Phase =
  /** No try yet, or none since the last obstacle went. */
  | 'idle'
  /** Leader: waits for the answer to its offer. */
  | 'offered'
  /** The P2P process sends probes. */
  | 'proving'
  /** Leader: waits for the peer to move its packets. */
  | 'asking'
  /** Waits for this host's process to install the route. */
  | 'installing'
  | 'active'
  /** A try failed, or the path was demoted. */
  | 'waiting'

/** A promotion that the leader asked for before this host's own proof was there. */
export interface Asked {
  readonly attempt: string
  readonly generation: number
  /** Monotonic. */
  readonly at: Millis
}

export interface Escalation {
  readonly phase: Phase
  /** Since when, monotonic. */
  readonly since: Millis
  readonly reason: P2pReason
  /** Why packets left UDP, or the last try failed; undefined: neither happened, or UDP carries packets. */
  readonly problem?: P2pReason | undefined
  /** The try that the session belongs to; undefined: the hosts have not agreed on keys. */
  readonly attempt?: string | undefined
  /** The highest number that either host has named. Rises with each promotion and demotion. */
  readonly generation: number
  readonly attempts: number
  readonly schedule: RetrySchedule
  readonly damping: Damping
  readonly rest?: Rest | undefined
  /** Packets do not move to UDP before this instant. */
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
  /** When a person last ended the waits. */
  readonly pardonedAt?: Millis | undefined
  /** Follower: what the leader waits for. */
  readonly asked?: Asked | undefined
  /** While suppressed: when the process last tested whether UDP would work. */
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
  /** Which path the sender uses. Sent at each new link, and by the leader when its plan changes. */
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
  /** The link came up, or a new one replaced it. */
  | { readonly type: 'linkUp' }
  | { readonly type: 'installed'; readonly attempt: string }
  | { readonly type: 'notInstalled'; readonly attempt: string; readonly reason: string }
  /** The process removed the route, by order or by itself. */
  | { readonly type: 'removed'; readonly attempt: string; readonly reason: string }
  | { readonly type: 'ended'; readonly attempt: string; readonly reason: string }
  | { readonly type: 'reset'; readonly cause: ResetCause }

export type Action =
  | { readonly type: 'send'; readonly message: PeerMessage }
  /** Starts the session of this try, with keys from the link and the addresses of the peer's offer or answer. */
  | { readonly type: 'startSession'; readonly attempt: string }
  | { readonly type: 'install'; readonly attempt: string; readonly generation: number }
  | { readonly type: 'remove'; readonly generation: number; readonly code: P2pCode }
  | { readonly type: 'endSession'; readonly code: P2pCode }
  | { readonly type: 'probeNow' }

export interface Step {
  readonly state: Escalation
  readonly actions: readonly Action[]
}
