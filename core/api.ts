/**
 * The shapes of the gateway's API (docs/api.md), shared by the plugin that posts and the gateway that answers.
 */

import type { Attachment } from './attachment.ts'

export type Protocol = 'tcp' | 'udp' | 'sctp'

export interface PortMapping {
  readonly protocol: Protocol
  /** Canonical address; `''` stands for any address of the host. */
  readonly hostIP: string
  readonly hostPort: number
  readonly containerPort: number
}

/** A lease with the names of its container. */
export interface Assignment extends Attachment {
  readonly hostId: number
  /** CIDR strings, e.g. `["10.100.1.10/24"]`. */
  readonly ips: readonly string[]
  readonly mac: string
  readonly name?: string
  readonly aliases: readonly string[]
  readonly ports: readonly PortMapping[]
  /** What ingress talks to when the request names no port. */
  readonly httpPort: number
  /** ISO 8601, UTC. */
  readonly createdAt: string
}

export const PATH_STATES = [
  'LOCAL',
  'CONNECTING',
  'GATEWAY_ONLY',
  'P2P_ATTEMPTING',
  'P2P_ACTIVE',
  'GATEWAY_FALLBACK',
  'ISOLATED',
  'QUARANTINED',
] as const
export type PathState = (typeof PATH_STATES)[number]

/**
 * `live`: reached, directly or over a relay. `unreachable`: not reached; its containers may well run. `gone`: for ten
 * minutes, so that its names are not shown. `quarantined`: two machines use its identity.
 */
export type HostState = 'live' | 'unreachable' | 'gone' | 'quarantined'

/** An element of `GET /v1/assignments`. */
export interface ListedAssignment extends Assignment {
  readonly hostState: HostState
}

/** Since the session began: what shows whether UDP passes, in either direction. */
export interface P2pProbes {
  /** By this host. */
  readonly sent: number
  readonly answered: number
  /** When the last answer came. ISO 8601, UTC; absent: none has. */
  readonly answeredAt?: string
  /** The peer's, here. */
  readonly received: number
  readonly receivedAt?: string
}

/** The UDP path to one remote host, in use or not. */
export interface P2pInfo {
  /** Why packets do not take it, or how well it is, in words. */
  readonly reason: string
  readonly attempts: number
  /** ISO 8601, UTC; absent: a try is under way, none is needed, or none can be made. */
  readonly nextAttemptAt?: string
  /** Rises with each promotion and demotion. */
  readonly generation: number
  /** What follows is of the session whose keys both hosts have; absent: there is none, or it was not measured yet. */
  readonly address?: string
  /** The TURN server in between, as `paths.turn` names it; of a server that the peer uses, its address. */
  readonly turn?: string
  /** Of the address: the kind of path that UDP takes, or would. */
  readonly tier?: UdpTier
  readonly probes?: P2pProbes
  readonly rttMs?: number
  readonly jitterMs?: number
  /** Of the last 40 round trips, 0 to 1. */
  readonly lossRate?: number
  /** Bits per second, now. */
  readonly txBps?: number
  readonly rxBps?: number
  /** Bytes of an IP packet of the network between the hosts. */
  readonly mtu?: number
  /** `whole`: sealed 60 KB at a time; `record`: each datagram by itself, for a path that loses some. */
  readonly form?: 'whole' | 'record'
  /** 0 to 1, of loss, round trip and jitter. */
  readonly quality?: number
}

/**
 * Kinds of path to another host, best first; the first four are UDP. `ice`: by offers through a hub; `punch`: by offers
 * that members carry, as no hub reaches both; `gossip`: messages that are kept until they arrive.
 */
export const TIERS = ['ipv6', 'ipv4', 'ice', 'punch', 'nebula', 'gateway', 'relay', 'gossip'] as const
export type TierName = (typeof TIERS)[number]
export type UdpTier = Extract<TierName, 'ipv6' | 'ipv4' | 'ice' | 'punch'>

/** One tier since the gateway started. */
export interface TierInfo {
  readonly name: TierName
  /** Whether it is used: `paths.tiers.<name>.enabled`. */
  readonly enabled: boolean
  /** How long a search goes on before it counts as failed. Absent: `gateway`, which is sought without end. */
  readonly timeoutMs?: number
  /** Hosts whose packets go by it now. */
  readonly hosts: number
  /** How often a way of this kind to a host was sought, and found. */
  readonly tries: number
  readonly successes: number
  /** From the beginning of a search that succeeded to its end, of the last 101; absent: there was none. */
  readonly medianMs?: number
}

/** The decision for one remote host. */
export interface PathInfo {
  readonly hostId: number
  readonly state: PathState
  /** `local`, `gateway`, `relay:<hostId>`, `p2p` or `nebula`. */
  readonly via: string
  readonly reason: string
  /** Round trip over this path, ms; absent when it was not measured yet, or there is no path. */
  readonly rttMs?: number
  /** ISO 8601, UTC. */
  readonly since: string
  /** The kind of path that packets take, one of TIERS. Absent: there is none, or the host is this one. */
  readonly tier?: string
  /** Absent: this gateway has no UDP path to other hosts at all. */
  readonly p2p?: P2pInfo
  /** The way through Nebula, in use or not. Absent: this gateway does not use Nebula. */
  readonly nebula?: P2pInfo
}

/** Body of 202 on `POST /v1/paths/retry` and `POST /v1/paths/{hostId}/retry`. */
export interface RetryReply {
  /** Hosts to which UDP is tried now. */
  readonly retried: readonly number[]
}

/** Body of 200 and 201 on `POST /v1/assignments`. */
export interface AssignmentReply extends Assignment {
  readonly paths: readonly PathInfo[]
}

/** Body of every 4xx and 5xx of the API; `problems` lists all of them, each with its key and value. */
export interface ApiError {
  readonly code: string
  readonly message: string
  readonly problems?: readonly string[]
}
