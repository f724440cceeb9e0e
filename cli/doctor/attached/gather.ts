/** Doctor, under live containers: reads their bridge, links, rules and ports. */

import { parseIpv4 } from '../../../core/addr.ts'
import type { PortMapping } from '../../../core/api.ts'
import { ownGroup } from '../../../kernel/guard.ts'
import { networkMark } from '../../../kernel/rules.ts'
import { needsLoopback, sysctlFaults } from '../../../kernel/sysctl.ts'
import { type Host, runJson } from '../../host/host.ts'
import { readLeases } from '../../host/leases.ts'
import { bridgeCidr } from '../../host/networks.ts'
import type { Places } from '../../host/places.ts'

// biome-ignore lint/suspicious/noExplicitAny: the JSON schema of libnftables is open
type NftObject = Record<string, any>

export interface LiveLink {
  readonly containerId: string
  readonly ifname: string
  readonly isThere: boolean
  /** The bridge whose port it is. */
  readonly master: string | undefined
  /** The rules say what may leave it, or need not. */
  readonly isGuarded: boolean
}

export interface AttachedFacts {
  readonly network: string
  readonly bridge: string
  /** Live containers. */
  readonly links: readonly LiveLink[]
  /** What is wrong with the bridge, e.g. `is missing`. */
  readonly bridgeFault: string | undefined
  /** What of the table is missing for this network; undefined when the ruleset cannot be read. */
  readonly rulesMissing: readonly string[] | undefined
  /** `antiSpoof` is on, and the kernel has no nftables for bridges. */
  readonly isUnguardable: boolean
  /** e.g. `tcp *:8080`. */
  readonly portsMissing: readonly string[]
  /** The host's loopback does not reach published ports, though some are published there. */
  readonly isLoopbackShut: boolean
}

interface Link {
  readonly ifname: string
  readonly kind: string | undefined
  readonly master: string | undefined
  /** Device group. */
  readonly group: number
  readonly isUp: boolean
  readonly addresses: readonly string[]
}

/** Of networks with live containers; the others need nothing in the kernel yet. */
export async function gatherAttached(
  host: Host,
  places: Places,
  nftTemplate: string,
): Promise<AttachedFacts[]> {
  const { live } = await readLeases(places.dataDirs)
  const attached = places.networks.flatMap(({ name, conf, slice }) => {
    const leases = live.filter((lease) => lease.network === name && lease.hostIfname !== '')
    return conf.role !== 'plugin' || slice === undefined || leases.length === 0
      ? []
      : [{ name, conf, slice, leases }]
  })
  if (attached.length === 0) return []
  const links = linksOf(host)
  const ruleset = runJson<{ nftables: NftObject[] }>(host, 'nft', '-j', 'list', 'ruleset')?.nftables
  const armed = ruleset && armedIn(ruleset)
  return attached.map(({ name, conf, slice, leases }) => {
    const ports = leases.flatMap((lease) => lease.ports ?? [])
    const mark = networkMark({
      supernet: conf.ipam.supernet,
      slice: slice.prefix,
      masquerade: conf.ipMasq,
      hostAccess: conf.hostAccess,
    })
    return {
      network: name,
      bridge: conf.bridge,
      links: leases.map(({ containerId, hostIfname, ip }) => ({
        containerId,
        ifname: hostIfname,
        isThere: links.has(hostIfname),
        master: links.get(hostIfname)?.master,
        isGuarded: !conf.antiSpoof || isGuarded(armed, links.get(hostIfname), ip),
      })),
      isUnguardable: conf.antiSpoof && isWithoutBridge(ruleset ?? []),
      bridgeFault: bridgeFault(links.get(conf.bridge), bridgeCidr(slice)),
      rulesMissing: ruleset && missingRules(ruleset, nftTemplate, conf.bridge, mark),
      portsMissing: ruleset === undefined ? [] : missingPorts(ruleset, ports),
      isLoopbackShut: isLoopbackShut(host, conf.bridge, ports),
    }
  })
}

function linksOf(host: Host): Map<string, Link> {
  // biome-ignore lint/suspicious/noExplicitAny: JSON of iproute2
  const listed = runJson<any[]>(host, 'ip', '-j', '-d', 'addr', 'show') ?? []
  return new Map(
    listed.map((l) => [
      l.ifname,
      {
        ifname: l.ifname,
        kind: l.linkinfo?.info_kind,
        master: l.master,
        // ip prints its own word for 0, and numbers as signed ones.
        group: l.group === 'default' ? 0 : Number(l.group ?? 0) >>> 0,
        isUp: (l.flags ?? []).includes('UP'),
        addresses: (l.addr_info ?? []).map(
          (a: { local: string; prefixlen: number }) => `${a.local}/${a.prefixlen}`,
        ),
      },
    ]),
  )
}

/** A bridge of another kind or with another address is a matter of configuration, which the check of routes reports. */
function bridgeFault(link: Link | undefined, cidr: string): string | undefined {
  if (link === undefined) return 'is missing'
  if (link.kind !== 'bridge') return undefined
  if (!link.addresses.includes(cidr)) return `has lost its address ${cidr}`
  return link.isUp ? undefined : 'is down'
}

const FAMILIES = ['inet', 'bridge'] as const
type Family = (typeof FAMILIES)[number]

const inTable = (ruleset: readonly NftObject[], kind: string, family: Family = 'inet'): NftObject[] =>
  ruleset.flatMap((o) => (o[kind]?.family === family && o[kind].table === 'flatnet' ? [o[kind]] : []))

const isWithoutBridge = (ruleset: readonly NftObject[]): boolean =>
  inTable(ruleset, 'set').some((set) => set['name'] === 'without_bridge')

/** Groups in force (kernel/guard.ts). */
const armedIn = (ruleset: readonly NftObject[]): Set<number> =>
  new Set(inTable(ruleset, 'set', 'bridge').find((set) => set['name'] === 'armed')?.['elem'])

/** Without the ruleset, or the link, there is another finding. */
function isGuarded(armed: ReadonlySet<number> | undefined, link: Link | undefined, address: string): boolean {
  const ip = parseIpv4(address)
  if (armed === undefined || link === undefined || ip === undefined) return true
  return [ip, ownGroup(ip)].includes(link.group) && armed.has(link.group)
}

function missingRules(
  ruleset: readonly NftObject[],
  nftTemplate: string,
  bridge: string,
  mark: string,
): string[] {
  const families = isWithoutBridge(ruleset) ? (['inet'] as const) : FAMILIES
  const lacking = families.filter(
    (family) => !ruleset.some((o) => o['table']?.family === family && o['table'].name === 'flatnet'),
  )
  if (lacking.length > 0) return lacking.map((family) => `the whole table ${family} flatnet`)
  // A table of another version has other marks; the check of the firewall reports it.
  const [, versionSet] = nftTemplate.match(/set (version_\w+)/) ?? []
  if (!inTable(ruleset, 'set').some((set) => set['name'] === versionSet)) return []
  const empty = families.flatMap((family) => emptyChains(ruleset, nftTemplate, family))
  const bridges: NftObject[] =
    inTable(ruleset, 'set').find((set) => set['name'] === 'bridges')?.['elem'] ?? []
  const isMarked = bridges.some(({ elem }) => elem?.val === bridge && elem.comment === mark)
  return isMarked ? empty : [...empty, `this network in the set bridges ("${mark}")`]
}

function emptyChains(ruleset: readonly NftObject[], nftTemplate: string, family: Family): string[] {
  const [, text = ''] = nftTemplate.split(`\ntable ${family} flatnet {`)
  const [own = ''] = text.split('\n}')
  const filled = new Set(inTable(ruleset, 'rule', family).map((rule) => rule['chain']))
  return [...own.matchAll(/^\s*chain (\w+) \{/gm)].flatMap(([, chain = '']) =>
    filled.has(chain) ? [] : [`the rules of chain ${chain}`],
  )
}

/** Podman gives every network of a container all ports, so the owner of the element does not matter here. */
function missingPorts(ruleset: readonly NftObject[], ports: readonly PortMapping[]): string[] {
  const published = new Set(
    inTable(ruleset, 'map').flatMap((map) =>
      (map['elem'] ?? []).map(([key]: [NftObject]) =>
        JSON.stringify(key['elem']?.val?.concat ?? key['concat']),
      ),
    ),
  )
  return ports.flatMap(({ protocol, hostIP, hostPort }) => {
    const key = hostIP === '' ? [protocol, hostPort] : [protocol, hostIP, hostPort]
    return published.has(JSON.stringify(key)) ? [] : [`${protocol} ${hostIP || '*'}:${hostPort}`]
  })
}

/** The other sysctls are judged with the system. */
function isLoopbackShut(host: Host, bridge: string, ports: readonly PortMapping[]): boolean {
  const reader = {
    get: (path: string) => host.read(`/proc/sys/${path}`)?.trim(),
    canWrite: () => true,
  }
  return sysctlFaults(bridge, needsLoopback(ports), reader).some(({ key }) => key.endsWith('.route_localnet'))
}
