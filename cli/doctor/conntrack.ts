/** Doctor, connection tracking: a table that is full, and UDP flows that the kernel forgets too soon. */
import type { Host } from '../host/host.ts'
import { type Finding, hostCheck, warn } from './check.ts'

/** Each undefined where connection tracking does not run. */
export interface ConntrackFacts {
  readonly count: number | undefined
  readonly max: number | undefined
  /** Seconds that the kernel remembers a UDP flow without an answer. */
  readonly udpTimeout: number | undefined
  /** The same of one that was answered. */
  readonly udpStreamTimeout: number | undefined
}

/** The kernel drops flows that it has no room for. */
const FULL = 0.9
/** Linux' default, and the pause between probes of an address that is not in use. */
const LEAST_UDP_TIMEOUT_S = 30
/** The pause between probes of a path in use without packets. */
const KEEPALIVE_S = 5

function gatherConntrack(host: Host): ConntrackFacts {
  const value = (key: string): number | undefined => {
    const text = host.read(`/proc/sys/net/netfilter/nf_conntrack_${key}`)?.trim()
    return text === undefined || text === '' ? undefined : Number(text)
  }
  return {
    count: value('count'),
    max: value('max'),
    udpTimeout: value('udp_timeout'),
    udpStreamTimeout: value('udp_timeout_stream'),
  }
}

export function judgeConntrack({ count, max, udpTimeout, udpStreamTimeout }: ConntrackFacts): Finding[] {
  const found: Finding[] = []
  if (count !== undefined && max !== undefined && count >= FULL * max)
    found.push(
      warn(
        'conntrack-full',
        `connection tracking holds ${count} of ${max} flows`,
        'the kernel drops packets of new flows, UDP paths among them',
        `sysctl -w net.netfilter.nf_conntrack_max=${2 * max}`,
      ),
    )
  if (udpTimeout !== undefined && udpTimeout < LEAST_UDP_TIMEOUT_S)
    found.push(
      warn(
        'conntrack-udp-timeout',
        `connection tracking forgets UDP flows after ${udpTimeout} s`,
        'a firewall that admits only answers may drop probes, which come up to 30 s apart',
        `sysctl -w net.netfilter.nf_conntrack_udp_timeout=${LEAST_UDP_TIMEOUT_S}`,
      ),
    )
  if (udpStreamTimeout !== undefined && udpStreamTimeout <= KEEPALIVE_S)
    found.push(
      warn(
        'conntrack-udp-timeout',
        `connection tracking forgets UDP flows with answers after ${udpStreamTimeout} s`,
        `an idle direct path is probed each ${KEEPALIVE_S} s: a firewall that admits only answers, or NAT, breaks it`,
        'sysctl -w net.netfilter.nf_conntrack_udp_timeout_stream=120',
      ),
    )
  return found
}

export const check = hostCheck({
  name: 'conntrack',
  gather: ({ host }) => gatherConntrack(host),
  judge: judgeConntrack,
})
