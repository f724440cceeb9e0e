/**
 * Doctor, path MTU: datagrams of direct paths that are far smaller than the interface's, since larger ones do not
 * arrive.
 */
import type { PathInfo } from '../../core/api.ts'
import { type Host, runJson } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, hostCheck, warn } from './check.ts'

export interface SmallPath {
  readonly hostId: number
  /** Without its port. */
  readonly address: string
  /** Bytes of the largest packet that was answered. */
  readonly mtu: number
  /** The interface that leads there. */
  readonly dev: string
  readonly devMtu: number
}

/** PPPoE and VPNs leave 1,400 and more, and a direct path loses little by it. */
const SMALL = 1_400
const ETHERNET = 1_500
/** Each is a run of ip(8). */
const MAX_HOSTS = 5

const hostOf = (address: string): string => address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')

function smallPath(host: Host, { hostId, p2p }: PathInfo): SmallPath[] {
  const address = hostOf(p2p?.address ?? '')
  const [route] = runJson<{ dev?: string }[]>(host, 'ip', '-j', 'route', 'get', address) ?? []
  const devMtu = Number(host.read(`/sys/class/net/${route?.dev}/mtu`)?.trim())
  if (route?.dev === undefined || p2p?.mtu === undefined || !(devMtu > 0)) return []
  return [{ hostId, address, mtu: p2p.mtu, dev: route.dev, devMtu }]
}

async function gatherMtu(host: Host, places: Places): Promise<SmallPath[]> {
  const status = await gatewayStatus(places).catch(() => undefined)
  const small = (status?.paths ?? []).filter(({ p2p }) => (p2p?.mtu ?? SMALL) < SMALL)
  return small.slice(0, MAX_HOSTS).flatMap((path) => smallPath(host, path))
}

/** What ping(8) calls size is without the headers of IPv4 and ICMP. */
const PING_HEADERS = 28

export const judgeMtu = (paths: readonly SmallPath[]): Finding[] =>
  paths
    .filter(({ mtu, devMtu }) => mtu < Math.min(devMtu, ETHERNET))
    .map(({ hostId, address, mtu, dev, devMtu }) =>
      warn(
        'udp-mtu',
        `packets to host ${hostId} pass up to ${mtu} bytes, and ${dev} sends ${devMtu}`,
        'the direct path makes do with smaller datagrams; TCP of other programs may hang on large ones',
        `ping -M do -s ${ETHERNET - PING_HEADERS} ${address} fails, ping -M do -s ` +
          `${mtu - PING_HEADERS} works: lower the MTU of ${dev} here and there, or let the router in between send "fragmentation needed"`,
      ),
    )

export const check = hostCheck({
  name: 'udp-mtu',
  gather: ({ host, places }) => gatherMtu(host, places),
  judge: judgeMtu,
})
