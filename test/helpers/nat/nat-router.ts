/**
 * Routers that translate addresses, as network namespaces with nftables: one before each host, of a kind that the test
 * names. The switch that they are on plays the internet.
 */
import type { Test } from 'tap'
import { type Netns, netns, run } from '../kernel/netns.ts'

/** RFC 3489's names, which people know; the mapping and filtering of RFC 4787 that they mean: see MEANING. */
export const NAT_KINDS = [
  'cone',
  'addressRestricted',
  'portRestricted',
  'cgnat',
  'ipv6',
  'hairpin',
  'symmetric',
  'udpBlocked',
] as const
export type NatKind = (typeof NAT_KINDS)[number]

export interface Behind {
  readonly kind: NatKind
  /** The one that the host is connected to. */
  readonly router: Netns
  /** What the internet sees. */
  readonly publicIp: string
  readonly hostIp: string
}

/** A port of a namespace, and how it reaches what it is connected to. */
interface Uplink {
  readonly ip: string
  readonly prefixLen: number
  readonly via?: string
}

/**
 * Moves a host from the switch to behind a router of its own.
 * @param lan the namespace with the bridge `lan`
 * @param index 1 to 99, once for each switch: host 192.168.<index>.2, in public 192.0.2.<100 + index>
 */
export async function putBehindNat(
  t: Pick<Test, 'teardown'>,
  lan: Netns,
  host: Netns,
  index: number,
  kind: NatKind,
): Promise<Behind> {
  const router = await netns(t)
  const publicIp = `192.0.2.${100 + index}`
  const hostIp = `192.168.${index}.2`
  if (kind === 'cgnat') {
    const carrier = await netns(t)
    join(lan, `n${index}`, carrier, 'wan', { ip: publicIp, prefixLen: 24 })
    join(carrier, 'lan', router, 'wan', { ip: `100.64.${index}.2`, prefixLen: 24, via: `100.64.${index}.1` })
    translate(carrier, 'portRestricted', `100.64.${index}.2`)
    translate(router, 'portRestricted', hostIp)
  } else join(lan, `n${index}`, router, 'wan', { ip: publicIp, prefixLen: 24 })
  join(router, 'lan', host, 'eth0', { ip: hostIp, prefixLen: 24, via: `192.168.${index}.1` })
  if (kind === 'hairpin') translateWithHairpin(router, publicIp, [hostIp])
  else if (kind !== 'cgnat') translate(router, kind === 'ipv6' ? 'portRestricted' : kind, hostIp)
  if (kind === 'ipv6') giveIpv6(lan, router, host, index)
  return { kind, router, publicIp, hostIp }
}

/**
 * Puts a second host behind a router of kind `hairpin`: the two reach each other by the router's outer address alone.
 */
export function putBeside(first: Behind, host: Netns, index: number): Behind {
  const { router, publicIp } = first
  const hostIp = `192.168.${index}.2`
  join(router, 'lan2', host, 'eth0', { ip: hostIp, prefixLen: 24, via: `192.168.${index}.1` })
  translateWithHairpin(router, publicIp, [first.hostIp, hostIp])
  return { ...first, hostIp }
}

/** Connects `inner` to `outer`: to its bridge if that is the switch, else as the only host of a network. */
function join(outer: Netns, outerName: string, inner: Netns, innerName: string, uplink: Uplink): void {
  const { ip, prefixLen, via } = uplink
  outer.exec('ip', 'link', 'add', outerName, 'type', 'veth', 'peer', 'name', innerName, 'netns', inner.name)
  if (via === undefined) outer.exec('ip', 'link', 'set', outerName, 'master', 'lan')
  else outer.exec('ip', 'addr', 'add', `${via}/${prefixLen}`, 'dev', outerName)
  outer.exec('ip', 'link', 'set', outerName, 'up')
  inner.exec('ip', 'link', 'set', 'lo', 'up')
  inner.exec('ip', 'addr', 'add', `${ip}/${prefixLen}`, 'dev', innerName)
  inner.exec('ip', 'link', 'set', innerName, 'up')
  if (via !== undefined) inner.exec('ip', 'route', 'add', 'default', 'via', via)
}

/** Of one router with one host behind it. */
type PlainKind = Exclude<NatKind, 'cgnat' | 'ipv6' | 'hairpin'>

/**
 * What makes a kind, beside masquerading. Linux keeps the source port where it can, whatever the destination, and lets
 * in answers only, so plain masquerading is the port-restricted cone. Datagrams of others enter by a rule of their own
 * when the host has sent by that port before (cone), or to that address by that port (address-restricted).
 */
const RULES: Readonly<Record<PlainKind, { sent?: string; entered?: string; masquerade?: string }>> = {
  cone: { sent: 'update @by_port { udp sport }', entered: 'udp dport @by_port' },
  addressRestricted: {
    sent: 'update @by_address { ip daddr . udp sport }',
    entered: 'ip saddr . udp dport @by_address',
  },
  portRestricted: {},
  symmetric: { masquerade: 'meta l4proto udp masquerade random,fully-random' },
  udpBlocked: { sent: 'drop' },
}

/**
 * Makes the router translate. Its input drops what the internet sends to the router itself: else the other side's early
 * datagram is a flow of the router's own, which holds the port, and the host's own flow to there gets another one.
 */
function translate(router: Netns, kind: PlainKind, inside: string): void {
  const { sent = '', entered, masquerade = '' } = RULES[kind]
  load(
    router,
    `table ip router {
       set by_port { type inet_service; flags dynamic,timeout; timeout 60s; }
       set by_address { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; }
       chain input { type filter hook input priority 0; iifname wan meta l4proto { tcp, udp } drop; }
       chain forward {
         type filter hook forward priority 0; policy drop;
         ${sent === '' ? '' : `iifname lan meta l4proto udp ${sent}`}
         iifname lan accept
         ct state established,related accept
         ct status dnat accept
       }
       chain pre {
         type nat hook prerouting priority -100;
         ${entered === undefined ? '' : `iifname wan ${entered} dnat to ${inside}`}
       }
       chain post {
         type nat hook postrouting priority 100;
         ${masquerade === '' ? '' : `oifname wan ${masquerade}`}
         oifname wan masquerade
       }
     }`,
  )
}

function load(router: Netns, rules: string): void {
  router.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  run('ip', ['netns', 'exec', router.name, 'nft', '-f', '-'], rules)
}

/**
 * A port-restricted NAT that leads a packet from inside to its own outer address back inside, and then gives it the
 * outer address of its sender (RFC 4787, 6). The hosts' ports 7443 have fixed mappings, since masquerading alone would
 * give both hosts one port as long as their destinations differ.
 */
function translateWithHairpin(router: Netns, publicIp: string, hosts: readonly string[]): void {
  const mapped = hosts.map((ip, i) => ({ ip, port: (i + 1) * 10_000 + 7_443 }))
  const inwards = mapped.map(
    ({ ip, port }) => `iifname != wan ip daddr ${publicIp} udp dport ${port} dnat to ${ip}:7443`,
  )
  const outwards = mapped.map(({ ip, port }) => `ip saddr ${ip} udp sport 7443 snat to ${publicIp}:${port}`)
  load(
    router,
    `table ip router
     flush table ip router
     table ip router {
       chain input { type filter hook input priority 0; iifname wan meta l4proto { tcp, udp } drop; }
       chain forward {
         type filter hook forward priority 0; policy drop;
         ct state established,related accept
         iifname != wan oifname wan accept
         ct status dnat accept
       }
       chain pre { type nat hook prerouting priority -100; ${inwards.join('; ')}; }
       chain post { type nat hook postrouting priority 100; ${outwards.join('; ')}; oifname wan masquerade; }
     }`,
  )
}

/** An IPv6 network of its own behind the same router, which lets in answers alone; the switch routes between them. */
function giveIpv6(lan: Netns, router: Netns, host: Netns, index: number): void {
  const outer = `2001:db8:ff::${index}`
  const network = `2001:db8:${index}:`
  for (const ns of [lan, router]) ns.exec('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1')
  lan.exec('ip', 'addr', 'replace', '2001:db8:ff::fe/64', 'dev', 'lan', 'nodad')
  router.exec('ip', 'addr', 'add', `${outer}/64`, 'dev', 'wan', 'nodad')
  router.exec('ip', 'route', 'add', 'default', 'via', '2001:db8:ff::fe')
  router.exec('ip', 'addr', 'add', `${network}:1/64`, 'dev', 'lan', 'nodad')
  host.exec('ip', 'addr', 'add', `${network}:2/64`, 'dev', 'eth0', 'nodad')
  host.exec('ip', 'route', 'add', 'default', 'via', `${network}:1`)
  lan.exec('ip', 'route', 'add', `${network}:/64`, 'via', outer)
  load(
    router,
    `table ip6 router {
       chain forward {
         type filter hook forward priority 0; policy drop;
         iifname lan accept
         ct state established,related accept
         meta l4proto icmpv6 accept
       }
     }`,
  )
}
