/**
 * How a container is dialled: by the kernel's routes, through its host's gateway, or not at all.
 *
 * Pure.
 */

import type { PathInfo } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import type { PathDecision } from '../../paths/decide.ts'

export type DialMethod =
  | { readonly kind: 'kernel' }
  | { readonly kind: 'stream'; readonly hostId: number }
  /** `mayCome`: a short wait is worth it, as a path may come. */
  | { readonly kind: 'none'; readonly reason: string; readonly mayCome: boolean }

export interface DialFacts {
  /** Of this gateway. */
  readonly ownHostId: number
  /** Of the container. */
  readonly hostId: number
  /** Why this host carries no packets; undefined: it does, or there are no other hosts. */
  readonly noTunnel: string | undefined
  /** Undefined: nothing has been decided about that host. */
  readonly path: { readonly decision: PathDecision; readonly info: PathInfo } | undefined
  /** Wall clock. */
  readonly now: Millis
}

/** A gateway that restarts is back by then. */
const RESTART_MS: Millis = 2_000
/** A host that fell silent was waited for until it was found dead, so its page comes soon. */
const HOPE_MS: Millis = 1_300

export function dialMethod({ ownHostId, hostId, noTunnel, path, now }: DialFacts): DialMethod {
  if (hostId === ownHostId) return { kind: 'kernel' }
  // Without a tunnel nothing is left to the kernel: its default route leads to strangers.
  if (path === undefined) {
    return noTunnel === undefined
      ? { kind: 'kernel' }
      : { kind: 'none', reason: `no path to host ${hostId} is known`, mayCome: false }
  }
  const { decision, info } = path
  if (decision.via.kind === 'none') {
    const age = now - Date.parse(info.since)
    // A wall clock that was put back must not make an old outage look new.
    const isFresh = age >= 0 && age < (decision.hasStopped === true ? RESTART_MS : HOPE_MS)
    const mayCome = decision.state === 'CONNECTING' || (isFresh && decision.state !== 'QUARANTINED')
    return { kind: 'none', reason: `host ${hostId} is out of reach: ${decision.reason}`, mayCome }
  }
  if (decision.isWebOnly === true || (noTunnel !== undefined && decision.via.kind === 'gateway'))
    return { kind: 'stream', hostId }
  // The device was lost a moment ago, and the path through another gateway is about to be given up.
  if (noTunnel !== undefined)
    return { kind: 'none', reason: `this host carries no packets (${noTunnel})`, mayCome: true }
  return { kind: 'kernel' }
}
