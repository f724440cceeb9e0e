/** What a person does about paths that are not well: one line for each thing to do, with its hosts. */

import type { PathInfo } from '../../core/api.ts'
import { carriesNone, PathReason } from '../../gateway/paths/reasons.ts'

/** A cluster of 254 hosts must not fill the screen with numbers. */
const MAX_NAMED = 10

const TODO = {
  isolated:
    'the gateway there has to run, and TCP 7443 to pass between the two hosts one way at least; ' +
    'flatnet hosts has the whole reason, flatnet doctor (here and there) looks further',
  quarantined:
    'stop the machine that should not have this number, then on each host that shows this: flatnet hosts release N',
  noTunnel:
    'this host carries no packets, so its containers and those of other hosts do not reach each ' +
    'other: modprobe tun, which the gateway takes within seconds; flatnet doctor looks further',
  noTunnelThere:
    'it carries no packets, so its containers and those here do not reach each other: ' +
    'modprobe tun there; flatnet doctor there looks further',
} as const

/** For a host that was revoked or has left, and has not noticed. */
export const COME_BACK =
  'flatnet leave --force; to come back: flatnet token on the host that admits, then its line here'

const isLackOf = (hostId: number, reason: string): boolean =>
  reason.startsWith(`${PathReason.onlyPages}: ${carriesNone(hostId, '').slice(0, -1)}`)

function todoOf({ hostId, state, reason }: PathInfo, own: number): keyof typeof TODO | undefined {
  if (state === 'ISOLATED') return 'isolated'
  if (state === 'QUARANTINED') return 'quarantined'
  if (isLackOf(own, reason)) return 'noTunnel'
  return isLackOf(hostId, reason) ? 'noTunnelThere' : undefined
}

/** `host 3 ISOLATED: what to do`; none while all is well. */
export function nextSteps(paths: readonly PathInfo[], own: number): string[] {
  return Object.entries(TODO).flatMap(([key, text]) => {
    const those = paths.filter((p) => todoOf(p, own) === key)
    const [first] = those
    if (first === undefined) return []
    if (key === 'noTunnel') return [`no tunnel: ${text}`]
    const named = those.slice(0, MAX_NAMED).map((p) => p.hostId)
    const more = those.length > MAX_NAMED ? ` and ${those.length - MAX_NAMED} more` : ''
    const hosts = `host${those.length > 1 ? 's' : ''} ${named.join(', ')}${more}`
    const said = those.length === 1 ? text.replace('release N', `release ${first.hostId}`) : text
    return [`${hosts}${key === 'noTunnelThere' ? '' : ` ${first.state}`}: ${said}`]
  })
}
