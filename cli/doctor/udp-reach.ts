/**
 * Doctor, UDP between hosts: in which direction datagrams arrive, as probes of direct paths saw it. No third party is
 * asked.
 */
import type { PathInfo } from '../../core/api.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { counted } from '../ui/output.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

export interface ReachFacts {
  /** With what was measured of UDP; of hosts that there are keys with. */
  readonly paths: readonly PathInfo[]
  /** Where this host receives UDP. */
  readonly port: number
  /** Ms since the epoch. */
  readonly now: number
}

/** Addresses that are not in use are probed each 30 s, others more often. */
const RECENT_MS = 35_000
/** Before that nothing can be said. */
const MIN_PROBES = 5
/** A cluster of 254 must not fill the screen. */
const MAX_NAMED = 5

async function gatherReach(places: Places): Promise<ReachFacts> {
  const status = await gatewayStatus(places).catch(() => undefined)
  const paths = (status?.paths ?? []).filter(({ p2p }) => (p2p?.probes?.sent ?? 0) >= MIN_PROBES)
  return { paths, port: status?.p2p?.port ?? places.conf?.p2p.listen.port ?? 0, now: Date.now() }
}

const ageOf = (at: string | undefined, now: number): number =>
  at === undefined ? Infinity : Math.max(0, now - Date.parse(at))

/** Of the last datagram. */
const silenceOf = ({ p2p }: PathInfo, now: number): number =>
  Math.min(ageOf(p2p?.probes?.answeredAt, now), ageOf(p2p?.probes?.receivedAt, now))

type Way = 'both' | 'none arrives' | 'not there' | 'only answers'

function wayOf(path: PathInfo, now: number): Way {
  const { answeredAt, receivedAt } = path.p2p?.probes ?? {}
  if (silenceOf(path, now) > RECENT_MS) return 'none arrives'
  if (ageOf(answeredAt, now) > RECENT_MS) return 'not there'
  return ageOf(receivedAt, now) > RECENT_MS ? 'only answers' : 'both'
}

const named = (paths: readonly PathInfo[]): string => {
  const ids = paths.slice(0, MAX_NAMED).map(({ hostId }) => hostId)
  const more = paths.length - ids.length
  return `host ${ids.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

const WHY = "packets go by the gateways' connection: nothing is lost but speed"
const AFTER = 'then flatnet retry'

/** All silent: the fault is most likely here. One of several: there. */
function silent(those: readonly PathInfo[], { paths, port }: ReachFacts): Finding {
  const isAll = those.length === paths.length && paths.length > 1
  const where = isAll ? 'on this host' : 'on both hosts'
  const rules = `allow UDP ${port} in and out ${where} (nft, ufw, firewalld, the security group of a cloud)`
  const what = `no UDP of ${named(those)} arrives here${isAll ? ', which is every host that was tried' : ''}`
  return warn('udp-reach', what, WHY, `${rules}; behind NAT on both sides forward it on one; ${AFTER}`)
}

export function judgeReach(facts: ReachFacts): Finding[] {
  const { paths, port, now } = facts
  const of = (way: Way): PathInfo[] => paths.filter((path) => wayOf(path, now) === way)
  const [both, none, out, answers] = [of('both'), of('none arrives'), of('not there'), of('only answers')]
  const found: Finding[] = []
  if (none.length > 0) found.push(silent(none, facts))
  if (out.length > 0)
    found.push(
      warn(
        'udp-reach',
        `UDP of ${named(out)} arrives here, and none from here is answered`,
        WHY,
        `allow UDP in on that host, and UDP ${port} out on this one; ${AFTER}`,
      ),
    )
  if (answers.length > 0)
    found.push(
      warn(
        'udp-reach',
        `${named(answers)} answers, and its own probes do not arrive here`,
        `a firewall here admits answers alone. ${WHY}`,
        `allow UDP ${port} in on this host; ${AFTER}`,
      ),
    )
  if (found.length > 0 || both.length === 0) return found
  const last = Math.min(...both.map((path) => silenceOf(path, now))) / 1_000
  const count = counted(both.length, 'host')
  return [
    ok(
      'udp-reach',
      `UDP ${port} goes both ways with ${count}, the last datagram came ${last.toFixed(1)} s ago`,
    ),
  ]
}

export const check = hostCheck({
  name: 'udp-reach',
  gather: ({ places }) => gatherReach(places),
  judge: judgeReach,
})
