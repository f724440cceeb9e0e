/** What a person does about paths that are not well: one line for each thing to do, with the hosts that it is about. */
import type { PathInfo } from '../../core/api.ts'
import { PathReason } from '../../gateway/paths/reasons.ts'

/** A cluster of 254 hosts must not fill the screen with numbers. */
const MAX_NAMED = 10

const TODO = {
  isolated:
    'its gateway has to run, and TCP 7443 to pass between the two hosts one way at least; flatnet hosts has the whole reason, flatnet doctor (here and there) looks further',
  quarantined:
    'stop the machine that should not have this number, then on each host that shows this: flatnet hosts release N',
  onlyPages:
    'this host cannot carry packets, so its containers and those of other hosts do not reach each other: modprobe tun, which the gateway takes within seconds; flatnet doctor looks further',
} as const

function todoOf({ state, reason }: PathInfo): keyof typeof TODO | undefined {
  if (state === 'ISOLATED') return 'isolated'
  if (state === 'QUARANTINED') return 'quarantined'
  return reason.startsWith(PathReason.onlyPages) ? 'onlyPages' : undefined
}

/** `host 3 ISOLATED: what to do`; none while all is well. */
export function advice(paths: readonly PathInfo[]): string[] {
  return Object.entries(TODO).flatMap(([key, text]) => {
    const those = paths.filter((p) => todoOf(p) === key)
    const [first] = those
    if (first === undefined) return []
    if (key === 'onlyPages') return [`no tunnel: ${text}`]
    const named = those.slice(0, MAX_NAMED).map((p) => p.hostId)
    const more = those.length > MAX_NAMED ? ` and ${those.length - MAX_NAMED} more` : ''
    const hosts = `host${those.length > 1 ? 's' : ''} ${named.join(', ')}${more}`
    const said = those.length === 1 ? text.replace('release N', `release ${first.hostId}`) : text
    return [`${hosts} ${first.state}: ${said}`]
  })
}
