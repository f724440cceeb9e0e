/**
 * Takes one attachment out of the host: rules, then the link, then the lease.
 *
 * Never stops at an error; what is absent is done.
 */

import { Errno } from 'netlink-ts/errors.ts'
import { type Link, linkByName, linkDelRequest } from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, parseCidr4, parseIpv4 } from '../core/addr.ts'
import { type Attachment, hostIfname, parseAlias, sameAttachment } from '../core/attachment.ts'
import { systemClock } from '../core/clock.ts'
import { FlatnetError, joinCauses } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { mark } from '../core/trace.ts'
import { releaseStale } from '../ipam/inventory.ts'
import { find, release } from '../ipam/ipam.ts'
import type { Lease } from '../ipam/lease.ts'
import type { LiveFacts } from '../ipam/stale.ts'
import type { Store } from '../ipam/store/store.ts'
import { forgetPort, isCommon, ownGroup } from '../kernel/guard.ts'
import { Netfilter } from '../kernel/netfilter.ts'
import { unpublishOwner, unpublishPorts } from '../kernel/ports/publish.ts'
import { withdraw } from '../registrar/assignments.ts'
import type { Endpoint } from '../registrar/exchange.ts'

/** Runs one step and collects what it throws: the ones after it run all the same. */
type Step = <T>(what: string, run: () => T) => T | undefined

function stepsOf({ containerId }: Attachment, errors: Error[]): Step {
  return (what, run) => {
    try {
      const result = run()
      mark(what)
      return result
    } catch (cause) {
      errors.push(new Error(`${what} of ${containerId}`, { cause }))
      return undefined
    }
  }
}

/** @returns what went wrong, in order; empty when nothing of the attachment is left */
export function teardown(host: NetlinkSocket, store: Store, attachment: Attachment): Error[] {
  const errors: Error[] = []
  // Open until the link is gone: see Netfilter.
  using netfilter = new Netfilter()
  const step = stepsOf(attachment, errors)
  const lease = step('looking up the lease', () => find(store, attachment))
  removeObjects(host, netfilter, attachment, lease, step)
  // While rules or link exist the address stays taken; the next DEL, `flatnet gc` or an ADD that reclaims it finishes.
  if (errors.length === 0) step('releasing the lease', () => release(store, attachment, systemClock))
  return errors
}

/**
 * For `flatnet gc`: as `teardown`, but only while the lease is unchanged since it was listed, and stale.
 * @returns whether it went, and what went wrong
 */
export function teardownStale(
  host: NetlinkSocket,
  store: Store,
  lease: Lease,
  facts: LiveFacts,
): { readonly isGone: boolean; readonly errors: readonly Error[] } {
  const errors: Error[] = []
  using netfilter = new Netfilter()
  const step = stepsOf(lease, errors)
  const isGone = step('collecting the lease', () =>
    releaseStale(store, lease, facts, systemClock, () => {
      removeObjects(host, netfilter, lease, lease, step)
      return errors.length === 0
    }),
  )
  return { isGone: isGone === true, errors }
}

/** Rules before the link: the other way round, packets for a published port would leave by the default route. */
function removeObjects(
  host: NetlinkSocket,
  netfilter: Netfilter,
  attachment: Attachment,
  lease: Lease | undefined,
  step: Step,
): void {
  const ifname = hostIfname(attachment)
  step('removing published ports', () => removePorts(host, netfilter, attachment, ifname, lease))
  const link = step('deleting the link', () => removeLink(host, attachment, ifname))
  const ports = lease?.ports ?? []
  // The gateway may have restored them between the two; now it sees that the link is gone (kernel/repair.ts).
  if (ports.length > 0)
    step('looking for ports put back', () => unpublishPorts(host, ports, ifname, netfilter))
  const ip = ipWithElements(link, lease)
  // Behind the link: a port without them passes everything.
  if (ip !== undefined) step('removing what its port passed', () => forgetPort(netfilter, ip))
}

/**
 * Without a lease, or with one made from the link (no namespace), the ports are not known: then every element that
 * names this owner is removed, provided that its link exists.
 */
function removePorts(
  host: NetlinkSocket,
  netfilter: Netfilter,
  attachment: Attachment,
  ifname: string,
  lease: Lease | undefined,
): void {
  if (lease !== undefined) unpublishPorts(host, lease.ports ?? [], ifname, netfilter)
  if (lease !== undefined && lease.netns !== '') return
  if (ownLink(host, attachment, ifname) !== undefined) unpublishOwner(host, ifname)
}

/** A link of that name with another owner stays: the name is a hash, and hashes collide. */
function ownLink(host: NetlinkSocket, attachment: Attachment, ifname: string) {
  const link = linkByName(host, ifname)
  const owner = parseAlias(link?.alias ?? '')?.attachment
  return owner !== undefined && sameAttachment(owner, attachment) ? link : undefined
}

/** @returns what it was, if it was there */
function removeLink(host: NetlinkSocket, attachment: Attachment, ifname: string): Link | undefined {
  const link = ownLink(host, attachment, ifname)
  if (link === undefined) return undefined
  const [outcome] = host.executeAll([linkDelRequest({ index: link.index })])
  // The namespace may die at the same moment and take the pair with it.
  if (outcome instanceof Error && outcome.errno !== Errno.ENODEV) throw outcome
  return link
}

/** The address of a port with elements of its own, by its group; by its MAC, where it died with its namespace. */
function ipWithElements(link: Link | undefined, lease: Lease | undefined): Ipv4 | undefined {
  if (link !== undefined) {
    const ip = parseCidr4(parseAlias(link.alias ?? '')?.cidr ?? '')?.ip
    return ip !== undefined && link.group === ownGroup(ip) ? ip : undefined
  }
  const ip = parseIpv4(lease?.ip ?? '')
  return ip !== undefined && lease?.mac && !isCommon({ mac: lease.mac, ip }) ? ip : undefined
}

/**
 * The gateway sees the lease go when it reconciles; its absence is no reason to keep a container's network.
 * @returns whether the gateway answered
 */
export async function withdrawQuietly(
  endpoint: Endpoint,
  attachment: Attachment,
  log: Log,
): Promise<boolean> {
  try {
    await withdraw(endpoint, attachment)
    return true
  } catch (err) {
    log.info({ err }, 'gateway not told of the deletion')
    return false
  }
}

/** One error with all of them in its details; its code is that of the first. */
export function throwAll(errors: readonly Error[], log: Log): void {
  const [first] = errors
  if (first === undefined) return
  for (const err of errors) log.error({ err }, 'deletion step failed')
  const code = first.cause instanceof FlatnetError ? first.cause.code : 'ERR_FLATNET_KERNEL'
  throw new FlatnetError(code, 'not everything could be taken away; delete again, or run "flatnet gc"', {
    details: joinCauses(errors),
  })
}
