/** Doctor, the other hosts: links that are down and why, quarantines, the tunnel, the clock. */

import type { HostView } from '../../gateway/api/host-view.ts'
import type { Status } from '../../gateway/api/status.ts'
import { apiGet } from '../host/client.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface PeerFacts {
  /** Of `GET /v1/hosts`; none when the gateway does not answer, or this host is in no cluster. */
  readonly hosts: readonly HostView[]
  readonly tunnel: Status['tunnel']
  /** undefined: nothing here says. */
  readonly isClockSynchronized: boolean | undefined
}

export async function gatherPeers(host: Host, places: Places): Promise<PeerFacts> {
  const asked = await Promise.all([apiGet<HostView[]>(places, '/v1/hosts'), gatewayStatus(places)]).catch(
    () => undefined,
  )
  const [hosts = [], status] = asked ?? []
  const clock = host.run('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'])?.stdout.trim()
  return {
    hosts: hosts.some((h) => h.member !== null) ? hosts : [],
    tunnel: status?.tunnel ?? null,
    isClockSynchronized: clock === 'yes' ? true : clock === 'no' ? false : undefined,
  }
}

interface Trouble {
  /** Matches the reason why a link is down, in the words of Flatnet, TLS or the kernel. */
  readonly signs: RegExp
  readonly why: string
  readonly fix: string
}

/** The first that fits counts. */
const TROUBLES: readonly Trouble[] = [
  {
    signs: /not yet valid/,
    why: 'the clocks of the two hosts differ by more than two hours',
    fix: 'timedatectl set-ntp true, here and there',
  },
  {
    signs: /certificate has expired/,
    why: 'its certificate was not renewed, or the clock here is wrong',
    fix: 'date, here and there; then flatnet doctor on that host says how its certificate is renewed',
  },
  {
    signs: /no protocol of ours/,
    why: 'the two gateways run versions that do not understand each other',
    fix: 'flatnet --version, here and there; install the newer one on both',
  },
  {
    signs: /another key holds|key was revoked/,
    why: 'another machine answers at its address, one with an old or a second key for that number',
    fix: 'on the machine that answers: flatnet leave --force, then flatnet join with a new token',
  },
  {
    signs: /, not host \d+$/,
    why: 'its address belongs to another machine now, or several machines share one behind NAT',
    fix: 'peers.advertise in flatnet.yaml of that host, then there: systemctl kill -s HUP flatnet-gateway',
  },
  {
    signs: /ECONNREFUSED/,
    why: 'its gateway does not run, or listens at another port',
    fix: 'on that host: systemctl start flatnet-gateway; flatnet doctor',
  },
  {
    signs: /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|did not answer|no sign of life/,
    why: 'it is off, the network between is broken, or a firewall drops TCP 7443; one of the two directions is enough',
    fix: 'ping it; then allow TCP 7443 there (nft, ufw, firewalld, the security group of a cloud), or here',
  },
  {
    signs: /no address of this host is known/,
    why: 'only it can connect, and it has not: its way to this host is blocked, or it is off',
    fix: 'allow TCP 7443 here; or name an address that reaches it in its flatnet.yaml, peers.advertise',
  },
]

const OTHER: Trouble = {
  signs: /./,
  why: 'its containers are reached through a third host, or not at all',
  fix: 'flatnet doctor on that host; the log here: journalctl -u flatnet-gateway',
}

/** A cluster of 254 must not fill the screen. */
const MAX_NAMED = 5

const nameOf = ({ hostId, member }: HostView): string => `host ${hostId} (${member?.name ?? ''})`

/** One finding for each kind of trouble, so that a switch that is off is one line and not a hundred. */
function judgeLinks(hosts: readonly HostView[]): Finding[] {
  const kinds = new Map<Trouble, HostView[]>()
  for (const view of hosts) {
    const { link, quarantine } = view
    if (link === null || link.state === 'up' || link.state === 'draining' || quarantine !== null) continue
    const kind = TROUBLES.find(({ signs }) => signs.test(link.reason)) ?? OTHER
    kinds.set(kind, [...(kinds.get(kind) ?? []), view])
  }
  return [...kinds].map(([{ why, fix }, views]) => {
    const named = views.slice(0, MAX_NAMED).map((v) => `${nameOf(v)}: ${v.link?.reason}`)
    const more = views.length > MAX_NAMED ? ` and ${views.length - MAX_NAMED} more` : ''
    const isCutOff = views.some((v) => v.path?.state === 'ISOLATED')
    const its = views.length === 1 ? 'its' : 'their'
    const effect = isCutOff
      ? `${its} containers are out of reach`
      : `${its} containers are reached through a third host`
    return (isCutOff ? fail : warn)(
      'cluster-links',
      `not linked: ${named.join('; ')}${more}`,
      `${why}; ${effect}`,
      fix,
    )
  })
}

const judgeAlarms = (hosts: readonly HostView[]): Finding[] =>
  hosts.flatMap(({ hostId, quarantine, alarms }) => [
    ...(quarantine === null
      ? []
      : [
          fail(
            'quarantine',
            `host ${hostId} is in quarantine: ${quarantine}`,
            'packets could reach either of the two machines, so nothing is sent to them',
            `stop the machine that should not be host ${hostId}; then flatnet hosts release ${hostId}`,
          ),
        ]),
    ...alarms.map(({ reason, next }) =>
      /^its clock/.test(reason)
        ? warn('clock', `host ${hostId}: ${reason}`, 'certificates and tokens count by clocks', next)
        : fail('host-alarm', `host ${hostId}: ${reason}`, 'two machines were given one number', next),
    ),
  ])

function judgeTunnel({ hosts, tunnel }: PeerFacts): Finding[] {
  if (hosts.length === 0 || tunnel === null) return []
  if (tunnel.problem === null) return [ok('tunnel', `${tunnel.device} carries packets to the other hosts`)]
  return [
    fail(
      'tunnel',
      `no tunnel: ${tunnel.problem}`,
      'browsers reach containers of other hosts through their gateways; the containers do not reach each other',
      'modprobe tun && echo tun > /etc/modules-load.d/flatnet.conf; inside a container: ' +
        '--device /dev/net/tun --cap-add NET_ADMIN',
    ),
  ]
}

function judgeClock({ hosts, isClockSynchronized }: PeerFacts): Finding[] {
  if (hosts.length < 2 || isClockSynchronized === undefined) return []
  if (isClockSynchronized) return [ok('clock', 'the clock is synchronized')]
  return [
    warn(
      'clock',
      'the clock of this host is not synchronized',
      'hosts whose clocks differ by hours refuse certificates that were just renewed, and joining allows 5 minutes',
      'timedatectl set-ntp true (apt-get install systemd-timesyncd, or chrony)',
    ),
  ]
}

export const judgePeers = (f: PeerFacts): Finding[] => [
  ...judgeLinks(f.hosts),
  ...judgeAlarms(f.hosts),
  ...judgeTunnel(f),
  ...judgeClock(f),
]

export const check = hostCheck({
  name: 'peers',
  gather: ({ host, places }) => gatherPeers(host, places),
  judge: judgePeers,
})
