/** Tells a person of containers that are not reached by their name, as another host had it first. */

import type { Millis } from '../../core/clock.ts'
import { printable } from '../base/printable.ts'
import type { Alarms } from './alarms.ts'
import type { ReplicationDeps } from './deps.ts'

/** Names are looked at each time a peer sends its digest, every 10 s. */
const MAX_NAMES = 100
/** A container that moves to another host runs on both for a moment. */
const PATIENCE_MS: Millis = 25_000
const NEXT = 'give one of the two another name, or open it by its address'

interface NameConflictsDeps extends Pick<ReplicationDeps, 'registry'> {
  readonly alarms: Alarms
}

/** @param hostId whose names are looked at */
export function tellShadowed({ registry, alarms }: NameConflictsDeps, hostId: number): void {
  const shadowed = registry.shadowed(hostId, MAX_NAMES)
  const [first] = shadowed
  if (first === undefined) return
  const name = `${printable(first.name)}, which leads to host ${first.by}`
  const more = shadowed.length === 1 ? '' : `, and ${shadowed.length - 1} other names`
  const reason = `it has a container called ${name}${more}: that host had the name first`
  alarms.raise('names', { hostId, reason, next: NEXT }, PATIENCE_MS)
}
