/**
 * Makes what may leave the ports what the leases say: for ports of an older release, and after a firewall was flushed.
 */

import { NFPROTO_BRIDGE } from 'netlink-ts/netfilter/nfnetlink.ts'
import { setGet } from 'netlink-ts/netfilter/set.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { parseIpv4 } from '../core/addr.ts'
import {
  addBlock,
  blockOf,
  isCommon,
  listPassed,
  listPorts,
  ownGroup,
  ownPassed,
  type Passed,
  type Port,
  removePassed,
  replacePassed,
  setGroup,
} from './guard.ts'
import type { Netfilter } from './netfilter.ts'
import { TABLE } from './rules-text.ts'

/** The part of a lease that says what its port passes. */
export interface Guarded {
  readonly hostIfname: string
  readonly containerId: string
  readonly ip: string
  /** Empty where the lease was made from the link: then the port stays as it is. */
  readonly mac: string
  /** Of its network. undefined: an older release wrote the network's record, and the next ADD tells. */
  readonly antiSpoof: boolean | undefined
}

/** @returns how many ports were changed */
export function repairGuards(host: NetlinkSocket, { socket }: Netfilter, leases: readonly Guarded[]): number {
  if (setGet(socket, NFPROTO_BRIDGE, TABLE, 'sources') === undefined) return 0
  // The elements first: an ADD puts those of a port in when its link is there, so the link is in the list behind.
  const present = listPassed(socket)
  const ports = listPorts(host)
  const desired = desiredPorts(ports, leases)
  const texts = new Set(present.map(textOf))
  const lacking = desired.filter(({ passed }) => !passed.every((p) => texts.has(textOf(p))))
  const common = lacking.flatMap(({ port, group }) => (group === port.ip ? [blockOf(port.ip)] : []))
  for (const block of new Set(common)) addBlock(socket, block)
  for (const { port, group, passed } of lacking) if (group !== port.ip) replacePassed(socket, present, passed)
  // Elements before the group, which puts them in force.
  const wrong = desired.filter(({ port, group }) => port.group !== group)
  const moved = wrong.filter(({ port, group }) => setGroup(host, port.index, group))
  removeGone(socket, present, ports)
  return new Set([...lacking, ...moved]).size
}

interface DesiredPort {
  readonly port: Port
  readonly group: number
  readonly passed: readonly Passed[]
}

function desiredPorts(ports: readonly Port[], leases: readonly Guarded[]): DesiredPort[] {
  const byName = new Map(ports.map((port) => [port.name, port]))
  const containers = Map.groupBy(ports, ({ containerId }) => containerId)
  return leases.flatMap(({ hostIfname, ip, mac, antiSpoof }) => {
    const port = byName.get(hostIfname)
    if (port?.ip !== parseIpv4(ip) || port === undefined || mac === '' || antiSpoof === undefined) return []
    if (!antiSpoof) return [{ port, group: 0, passed: [] }]
    const ips = (containers.get(port.containerId) ?? []).map((other) => other.ip)
    const source = { mac, ip: port.ip }
    const isAlone = isCommon(source) && ips.length === 1
    const passed = isAlone ? [{ ...source, group: port.ip }] : ownPassed(source, ips)
    return [{ port, group: isAlone ? port.ip : ownGroup(port.ip), passed }]
  })
}

const textOf = ({ group, mac, ip }: Passed): string => `${group} ${mac} ${ip}`

/** What no port of its group may send any more: that of an ADD or DEL which was killed. */
function removeGone(socket: NetlinkSocket, present: readonly Passed[], ports: readonly Port[]): void {
  const byGroup = new Map(ports.map((port) => [ownGroup(port.ip), port]))
  const byIp = new Map(ports.map((port) => [port.ip, port]))
  const gone = present.filter(({ group, ip }) => {
    const port = byGroup.get(group)
    return group !== ip && (port === undefined || byIp.get(ip)?.containerId !== port.containerId)
  })
  removePassed(socket, gone)
}
