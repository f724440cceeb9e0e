/** Doctor, direct paths: why packets do not go over UDP, and what of this host's kernel is in their way. */
import type { PathInfo } from '../../core/api.ts'
import { P2P_WORDS, type P2pCode, PEER_WORDS } from '../../gateway/paths/escalation/reasons.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { counted } from '../ui/output.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

export interface DirectFacts {
  /** Of other hosts; none when the gateway does not answer, or this host is in no cluster. */
  readonly paths: readonly PathInfo[]
  /** Of the P2P device: what the kernel applies; undefined: there is no such device. */
  readonly rpFilter: number | undefined
}

const numberIn = (host: Host, path: string): number | undefined => {
  const text = host.read(path)?.trim()
  return text === undefined || text === '' ? undefined : Number(text)
}

async function gatherDirect(host: Host, places: Places): Promise<DirectFacts> {
  const status = await gatewayStatus(places).catch(() => undefined)
  const conf = '/proc/sys/net/ipv4/conf'
  const own = numberIn(host, `${conf}/flatnet-p2p/rp_filter`)
  const all = numberIn(host, `${conf}/all/rp_filter`) ?? 0
  return {
    paths: (status?.paths ?? []).filter((p) => p.state !== 'LOCAL' && p.p2p !== undefined),
    rpFilter: own === undefined ? undefined : Math.max(own, all),
  }
}

interface Trouble {
  readonly codes: readonly P2pCode[]
  /** What a peer says of itself. */
  readonly there?: readonly (keyof typeof PEER_WORDS)[]
  readonly fix: string
}

/** Troubles that a person has to act on; others end by themselves, were ordered, or are of udp-reach.ts. */
const TROUBLES: readonly Trouble[] = [
  {
    codes: [],
    there: ['no process', 'no device', 'no UDP'],
    fix: 'run flatnet doctor on that host',
  },
  { codes: ['no word', 'no answer to offer'], fix: 'install one version on all hosts' },
  {
    codes: ['full size lost'],
    fix:
      'set the MTU of the interface that leads there to what passes, here and there: ' +
      'ping -M do -s 1472 shows it; then flatnet retry',
  },
  {
    codes: ['no process', 'session lost', 'process ended', 'no session'],
    fix: 'systemctl restart flatnet-p2p, or without systemd the gateway; its log says why it ended',
  },
  {
    codes: ['no device', 'device lost'],
    fix: 'modprobe tun; ip link show flatnet-p2p names what has taken its place',
  },
  { codes: ['no UDP'], fix: 'ss -ulpn names who has the port; stop it, or set p2p.listen in flatnet.yaml' },
  {
    codes: ['unproven', 'loss', 'slower', 'too slow', 'jitter', 'throughput', 'on trial', 'damped'],
    fix: 'look for a shaper, a VPN or a full uplink that treats UDP worse than TCP: mtr -u to that host, and mtr -T',
  },
]

const wordsOf = ({ codes, there = [] }: Trouble): string[] => [
  ...codes.map((code) => P2P_WORDS[code]),
  ...there.map((code) => PEER_WORDS[code]),
]

/** A cluster of 254 must not fill the screen. */
const MAX_NAMED = 5
const STRICT = 1

const troubleOf = ({ p2p }: PathInfo): Trouble | undefined =>
  TROUBLES.find((trouble) => wordsOf(trouble).some((words) => p2p?.reason.includes(words)))

function judgePaths(paths: readonly PathInfo[]): Finding[] {
  const kinds = new Map<Trouble, PathInfo[]>()
  for (const path of paths) {
    const trouble = path.state === 'P2P_ACTIVE' ? undefined : troubleOf(path)
    if (trouble !== undefined) kinds.set(trouble, [...(kinds.get(trouble) ?? []), path])
  }
  const direct = paths.filter((p) => p.state === 'P2P_ACTIVE').length
  if (kinds.size === 0)
    return direct === 0
      ? []
      : [ok('direct-paths', `${direct} of ${counted(paths.length, 'other host')} reached directly by UDP`)]
  return [...kinds].map(([{ fix }, those]) => {
    const named = those.slice(0, MAX_NAMED).map((p) => `host ${p.hostId}: ${p.p2p?.reason}`)
    const more = those.length > MAX_NAMED ? ` and ${those.length - MAX_NAMED} more` : ''
    const why = "packets go by the gateways' connection: nothing is lost but speed"
    return warn('direct-paths', `not direct: ${named.join('; ')}${more}`, why, fix)
  })
}

function judgeKernel({ rpFilter }: DirectFacts): Finding[] {
  const found: Finding[] = []
  if (rpFilter === STRICT)
    found.push(
      warn(
        'direct-rp-filter',
        'reverse path filtering of flatnet-p2p is strict',
        'packets of a path that just moved arrive on the other device, and the kernel drops them',
        'sysctl -w net.ipv4.conf.flatnet-p2p.rp_filter=2; find what sets it: grep -r rp_filter /etc/sysctl.d',
      ),
    )
  return found
}

export const judgeDirect = (facts: DirectFacts): Finding[] => [
  ...judgePaths(facts.paths),
  ...judgeKernel(facts),
]

export const check = hostCheck({
  name: 'direct',
  gather: ({ host, places }) => gatherDirect(host, places),
  judge: judgeDirect,
})
