/** Permissions and channels of one allocation: who may send through the server, by which number. Pure. */

import type { Millis } from '../../../../core/clock.ts'
import { formatEndpoint } from '../../../../core/endpoint.ts'
import { ipBytes, parseEndpoint } from '../../p2p/process/endpoint.ts'
import type { TurnRequests, TurnResult } from './requests.ts'

/** Servers keep a permission for 5 minutes and a channel for 10 (RFC 8656, 9 and 12); binding renews both. */
const RENEW_MS: Millis = 240_000
/** What the server refuses (e.g. a peer in its own network, 403) is not asked again each second. */
const REFUSED_AGAIN_MS: Millis = 60_000
/** A renewal that got lost is made again before the server forgets: there is a minute for it. */
const SILENT_AGAIN_MS: Millis = 5_000
/** RFC 8656, 12: a number stays with its peer for 5 minutes after it ended. */
const REMEMBER_MS: Millis = 900_000
const FIRST_CHANNEL = 0x4000
const LAST_CHANNEL = 0x4fff
/** A hub has 253 peers with a few addresses each; those that have no other path are fewer. */
const MAX_PERMISSIONS = 256
/** NATs give one peer another port now and then. */
const MAX_CHANNELS = 128
/** On the way to the server at once, so that a hub does not flood it. */
const MAX_OPEN = 16

export interface ChannelsDeps {
  /** Whether this host has a key for a datagram of ours: other hosts behind the peer's NAT may send as well. */
  knows(datagram: Uint8Array): boolean
  /** From now on `channel` carries datagrams to and from `peer`, `192.0.2.1:40001`. */
  bound(peer: string, channel: number): void
  /** The channel carries nothing any more. */
  unbound(peer: string, channel: number): void
}

interface Permission {
  dueAt: Millis
}

interface Channel {
  readonly number: number
  state: 'idle' | 'asked' | 'bound'
  /** When to bind it, or to renew it. */
  dueAt: Millis
  /** After a refusal it is not asked for again before this. */
  notBefore: Millis
  /** When it was asked for last. */
  at: Millis
}

export class Channels {
  readonly #requests: TurnRequests
  readonly #deps: ChannelsDeps
  readonly #mismatch: (now: Millis) => void
  readonly #permissions = new Map<string, Permission>()
  readonly #channels = new Map<string, Channel>()
  #last = LAST_CHANNEL
  /** Peers without a channel, since all are taken. */
  refused = 0

  /** @param mismatch the server does not know the allocation (437) */
  constructor(requests: TurnRequests, deps: ChannelsDeps, mismatch: (now: Millis) => void) {
    this.#requests = requests
    this.#deps = deps
    this.#mismatch = mismatch
  }

  get nextAt(): Millis {
    if (this.#requests.size >= MAX_OPEN) return Number.POSITIVE_INFINITY
    let at = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#permissions.values()) at = Math.min(at, dueAt)
    for (const { dueAt } of this.#channels.values()) at = Math.min(at, dueAt)
    return at
  }

  /** Replaces the addresses that may send. Channels of others are given up. */
  permit(ips: ReadonlySet<string>, now: Millis): void {
    for (const ip of this.#permissions.keys()) if (!ips.has(ip)) this.#permissions.delete(ip)
    for (const ip of ips)
      if (!this.#permissions.has(ip) && this.#permissions.size < MAX_PERMISSIONS)
        this.#permissions.set(ip, { dueAt: now })
    for (const [peer, channel] of this.#channels) if (!ips.has(ipOf(peer))) this.#unbind(peer, channel)
  }

  /** A datagram came through the server from a peer that has no channel yet. It is lost; the peer's next one is not. */
  heard(peer: string | undefined, datagram: Uint8Array | undefined, now: Millis): void {
    if (peer === undefined || datagram === undefined || !this.#mayOpen(peer, now)) return
    if (this.#deps.knows(datagram)) this.#open(peer, now)
  }

  /** To a peer that is behind a server as well: nothing comes from there before one of the two servers sends. */
  open(peers: readonly string[], now: Millis): void {
    for (const peer of peers) if (this.#mayOpen(peer, now)) this.#open(peer, now)
  }

  #mayOpen(peer: string, now: Millis): boolean {
    const known = this.#channels.get(peer)
    if (known !== undefined && (known.state !== 'idle' || now < known.notBefore)) return false
    return this.#permissions.has(ipOf(peer))
  }

  #open(peer: string, now: Millis): void {
    const channel = this.#channels.get(peer) ?? this.#newChannel(now)
    if (channel === undefined) {
      this.refused++
      return
    }
    channel.state = 'asked'
    channel.dueAt = now
    this.#channels.set(peer, channel)
  }

  tick(now: Millis): void {
    for (const [ip, permission] of this.#permissions) {
      if (this.#requests.size >= MAX_OPEN) return
      if (now >= permission.dueAt) this.#permit(ip, permission, now)
    }
    for (const [peer, channel] of this.#channels) {
      if (this.#requests.size >= MAX_OPEN) return
      if (now >= channel.dueAt) this.#bind(peer, channel, now)
      else if (channel.state === 'idle' && now - channel.at > REMEMBER_MS) this.#channels.delete(peer)
    }
  }

  clear(): void {
    for (const [peer, channel] of this.#channels) this.#unbind(peer, channel)
    this.#channels.clear()
    this.#permissions.clear()
    this.#last = LAST_CHANNEL
  }

  #newChannel(now: Millis): Channel | undefined {
    if (this.#channels.size >= MAX_CHANNELS) return undefined
    const taken = new Set([...this.#channels.values()].map(({ number }) => number))
    do this.#last = this.#last < LAST_CHANNEL ? this.#last + 1 : FIRST_CHANNEL
    while (taken.has(this.#last))
    return { number: this.#last, state: 'idle', dueAt: now, notBefore: now, at: now }
  }

  #permit(ip: string, permission: Permission, now: Millis): void {
    permission.dueAt = Number.POSITIVE_INFINITY
    // RFC 8656, 9.1: the port is ignored, and an address alone cannot be written.
    const peer = formatEndpoint(ip, 9)
    this.#requests.send({ method: 'createPermission', peer }, now, (result, at) => {
      permission.dueAt = at + AGAIN_MS[result.kind]
      if (isMismatch(result)) this.#mismatch(at)
    })
  }

  #bind(peer: string, channel: Channel, now: Millis): void {
    channel.dueAt = Number.POSITIVE_INFINITY
    channel.at = now
    this.#requests.send({ method: 'channelBind', channel: channel.number, peer }, now, (result, at) => {
      // Its peer is none any more since it was asked for.
      if (channel.state === 'idle') return
      if (result.kind === 'success') this.#bound(peer, channel, at)
      else if (result.kind === 'silent' && channel.state === 'bound') channel.dueAt = at + SILENT_AGAIN_MS
      else {
        channel.notBefore = at + AGAIN_MS[result.kind]
        this.#unbind(peer, channel)
        if (isMismatch(result)) this.#mismatch(at)
      }
    })
  }

  #bound(peer: string, channel: Channel, now: Millis): void {
    const isNew = channel.state === 'asked'
    channel.state = 'bound'
    channel.dueAt = now + RENEW_MS
    if (isNew) this.#deps.bound(peer, channel.number)
  }

  #unbind(peer: string, channel: Channel): void {
    const wasBound = channel.state === 'bound'
    channel.state = 'idle'
    channel.dueAt = Number.POSITIVE_INFINITY
    if (wasBound) this.#deps.unbound(peer, channel.number)
  }
}

const AGAIN_MS = { success: RENEW_MS, error: REFUSED_AGAIN_MS, silent: SILENT_AGAIN_MS } as const

const isMismatch = (result: TurnResult): boolean => result.kind === 'error' && result.code === 437

/** `192.0.2.1`, or `2001:db8::1`. */
export function ipOf(endpoint: string): string {
  const parsed = parseEndpoint(endpoint)
  return parsed === undefined ? '' : ipBytes(parsed.ip)
}
