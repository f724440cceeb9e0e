/** What a new list of members means for links, and as events. Pure. */

import type { GatewayEvent } from '../../base/events.ts'
import { type MembersDocument, memberOf } from './document.ts'

/** Hosts whose number another key holds now: connections of the old key have to go. */
export const changedKeys = (before: MembersDocument, now: MembersDocument): number[] =>
  now.members.flatMap((m) => {
    const old = memberOf(before, m.hostId)
    return old !== undefined && old.keyId !== m.keyId ? [m.hostId] : []
  })

/** What the operator of another host wants to see in its events. */
export function changesOf(before: MembersDocument, now: MembersDocument): GatewayEvent[] {
  return now.members.flatMap((member): GatewayEvent[] => {
    const old = memberOf(before, member.hostId)
    const host = { hostId: member.hostId, name: member.name }
    if (old === undefined || old.keyId !== member.keyId) {
      if (member.state === 'active') return [{ type: 'hostJoined', host }]
    } else if (old.state === member.state) return []
    return [{ type: member.state === 'left' ? 'hostLeft' : 'hostRevoked', host }]
  })
}
