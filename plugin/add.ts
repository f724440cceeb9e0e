/**
 * ADD: validate all, then act, each step with its undo; the first error is what the caller sees
 * (docs/architecture/plugin.md#order).
 */

import { type Link, linkByName } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { nftTemplate } from '../conf/templates.ts'
import { hostIfname } from '../core/attachment.ts'
import { systemClock } from '../core/clock.ts'
import { FlatnetError, joinCauses } from '../core/errors.ts'
import { mark } from '../core/trace.ts'
import { assignmentOf } from '../ipam/assignment.ts'
import type { Slice } from '../ipam/choose/slice.ts'
import { type Acquired, acquire, activate, find, type LeaseRequest, release } from '../ipam/ipam.ts'
import type { Lease } from '../ipam/lease.ts'
import { confirmNetwork, ensureNetwork } from '../ipam/networks.ts'
import type { Store } from '../ipam/store/store.ts'
import { isCommon } from '../kernel/guard.ts'
import { Netfilter } from '../kernel/netfilter.ts'
import { publishPorts, unpublishPorts } from '../kernel/ports/publish.ts'
import { ensureRules } from '../kernel/rules.ts'
import { uplinkMtu } from '../kernel/uplink.ts'
import { announce } from '../registrar/assignments.ts'
import { ensureBridge, refuseBridge, refuseDetour } from './bridge.ts'
import type { Context, Output } from './context.ts'
import { dnsOf } from './dns.ts'
import { readCniArgs } from './env.ts'
import { guard } from './guard.ts'
import { inUseBy, liveFacts, storeOf } from './lease-store.ts'
import { type ContainerNetns, enterable } from './netns.ts'
import { recordOf, rulesOf } from './network-rules.ts'
import { bridgePlanOf, ipamResultOf, type Plan, planOf, resultOf } from './plan.ts'
import { type AttachmentRequest, readAttachmentRequest } from './request.ts'
import { type CniResult, formatResult, mergeResults, readPrevResult } from './result.ts'
import { Undo } from './undo.ts'
import {
  AddressHeld,
  configureContainer,
  containerIndex,
  createVeth,
  openPort,
  refuseExisting,
  removeLeftover,
  type Sockets,
} from './veth.ts'

export async function add(context: Context): Promise<Output> {
  mark('load ADD')
  const { result, after } = attached(context)
  return { text: formatResult(result, context.version), after }
}

/** An attachment that is made. */
export interface Attached {
  readonly result: CniResult
  /** What is done once the runtime has it. */
  after(): Promise<void>
}

/** For both dialects. @throws {FlatnetError} after everything was undone */
export function attached(context: Context): Attached {
  const { conf, env, slice } = context
  const request = readAttachmentRequest(conf, readCniArgs(env.args))
  const prev = readPrevResult(conf.prevResult)
  if (slice === undefined) throw new FlatnetError('ERR_FLATNET_INTERNAL', 'ADD ran without a slice')
  using netns = enterable(env.netns)
  mark('namespace')
  return conf.role === 'ipam'
    ? addAddress(context, slice, request, netns)
    : attach(context, slice, request, netns, prev)
}

/** As another plugin's IPAM: an address and nothing else; no kernel objects, no registration. */
function addAddress(
  context: Context,
  slice: Slice,
  request: AttachmentRequest,
  netns: ContainerNetns,
): Attached {
  const { attachment, conf, until } = context
  ensureNetwork(conf.dataDir, recordOf(conf, slice), until)
  const store = storeOf(context, undefined)
  const leaseRequest = { ...leaseRequestOf(context, slice, request, netns), mac: '', hostIfname: '' }
  const { lease } = acquire(store, { ...leaseRequest, ...liveFacts(store, undefined) }, systemClock)
  try {
    confirmNetwork(conf.dataDir, recordOf(conf, slice))
    activate(store, attachment)
  } catch (err) {
    release(store, attachment, systemClock)
    throw err
  }
  return { result: ipamResultOf(conf, slice, lease.ip), after: async () => {} }
}

function attach(
  context: Context,
  slice: Slice,
  request: AttachmentRequest,
  netns: ContainerNetns,
  prev: CniResult | undefined,
): Attached {
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  using container = NetlinkSocket.open(NETLINK_ROUTE, { netns: netns.fd })
  const store = storeOf(context, host)
  mark('netlink sockets')
  if (find(store, context.attachment) === undefined) {
    // With a lease of ours, the lease's own check gives the better message.
    refuseExisting(container, context.attachment.ifname, netnsPath(context))
  }
  const attempt: Attempt = {
    context,
    slice,
    store,
    sockets: { host, container },
    netns,
    known: claimNetwork(host, context, slice),
    prev,
  }
  const leaseRequest = leaseRequestOf(context, slice, request, netns)
  for (let n = 1; ; n++) {
    const undo = new Undo()
    try {
      return tryAttach(attempt, { ...leaseRequest, isDoubtful: n > 1 }, undo)
    } catch (err) {
      const failed = undo.rollback(context.log)
      if (!(err instanceof AddressHeld) || failed.length > 0 || n === MAX_ATTEMPTS) {
        context.log.error({ err, undoFailed: failed.length }, 'attachment failed')
        throw withUndoFailures(err, failed)
      }
      // The leases are those of an old store: the next attempt repairs them first.
      context.log.warn(
        { err },
        'address was held by a live link, so the leases are repaired and another is taken',
      )
    }
  }
}

/** The second attempt knows all that the kernel knows; more than a third would not help. */
const MAX_ATTEMPTS = 3

/** What every attempt of one ADD shares. */
interface Attempt {
  readonly context: Context
  readonly slice: Slice
  readonly store: Store
  readonly sockets: Sockets
  readonly netns: ContainerNetns
  readonly known: Link | undefined
  readonly prev: CniResult | undefined
}

function tryAttach(attempt: Attempt, leaseRequest: Request, undo: Undo): Attached {
  const { context, slice, store, sockets } = attempt
  const acquired = lease(attempt, leaseRequest, undo)
  mark('lease')
  const plan = planOf(context.conf, slice, acquired.lease, context.conf.mtu || uplinkMtu(sockets.host))
  const bridge = wire(attempt, plan, acquired, undo)
  mark('ports')
  activate(store, context.attachment)
  mark('lease active')
  return attachedOf(attempt, plan, bridge, acquired.lease)
}

/**
 * The bridge first: a configuration that it refuses must not become the record of the network that has it.
 * @returns the bridge, when it exists and has its address
 */
function claimNetwork(host: NetlinkSocket, { conf, until }: Context, slice: Slice): Link | undefined {
  const link = linkByName(host, conf.bridge)
  const isReady = link !== undefined && refuseBridge(host, link, bridgePlanOf(conf, slice, link.mtu))
  ensureNetwork(conf.dataDir, recordOf(conf, slice), until)
  mark('network record')
  return isReady ? link : undefined
}

const netnsPath = (context: Context): string => context.env.netns

function leaseRequestOf(
  { attachment, env }: Context,
  slice: Slice,
  request: AttachmentRequest,
  netns: ContainerNetns,
): Omit<LeaseRequest, 'isLive' | 'netnsInode' | 'bootId'> {
  const { ip, mac, name, aliases, ports, httpPort } = request
  return {
    slice,
    attachment,
    ...(ip !== undefined && { requestedIp: ip }),
    netns: env.netns,
    inode: netns.inode,
    ...(mac !== undefined && { mac }),
    hostIfname: hostIfname(attachment),
    ...(name !== undefined && { name }),
    aliases,
    ports,
    httpPort,
    createdAt: new Date().toISOString(),
  }
}

type Request = ReturnType<typeof leaseRequestOf> & Pick<LeaseRequest, 'isDoubtful'>

/** Acquires the address and removes what its stale holders left in the kernel. */
function lease({ context, store, sockets: { host } }: Attempt, leaseRequest: Request, undo: Undo): Acquired {
  const facts = { ...liveFacts(store, host), inUse: inUseBy(host) }
  const acquired = acquire(store, { ...leaseRequest, ...facts }, systemClock)
  undo.push(`lease ${acquired.lease.ip}`, () => {
    release(store, context.attachment, systemClock)
  })
  confirmNetwork(context.conf.dataDir, recordOf(context.conf, leaseRequest.slice))
  for (const gone of acquired.reclaimed) {
    context.log.info({ lease: gone.ip, stale: gone.containerId }, 'stale lease reclaimed')
    unpublishPorts(host, gone.ports ?? [], gone.hostIfname)
  }
  if (acquired.tookOver !== undefined) {
    context.log.info({ lease: acquired.tookOver.ip }, 'own earlier lease taken over')
    unpublishPorts(host, acquired.tookOver.ports ?? [], acquired.tookOver.hostIfname)
  }
  removeLeftover(host, context.attachment, acquired.lease.hostIfname)
  return acquired
}

function wire(attempt: Attempt, plan: Plan, acquired: Acquired, undo: Undo): Link {
  const { context, netns, known } = attempt
  const { host, container } = attempt.sockets
  refuseExisting(container, plan.ifname, netnsPath(context))
  mark('plan')
  using netfilter = new Netfilter()
  const bridge = ensureBridge(host, plan, undo, known)
  mark('bridge')
  ensureRules(
    { ...rulesOf(context), guarded: plan.antiSpoof && isCommon(plan) ? plan : undefined },
    nftTemplate,
    netfilter,
  )
  mark('rules')
  createVeth(host, netns.fd, bridge, plan, undo)
  mark('veth')
  const index = containerIndex(container, plan)
  guard(host, netfilter, plan, index, undo)
  configureContainer(container, netns.fd, index, plan)
  mark('container')
  openPort(host, bridge, plan)
  refuseDetour(host, bridge, plan.ip)
  mark('bridge port')
  const ports = acquired.lease.ports ?? []
  undo.push('published ports', () => unpublishPorts(host, ports, plan.hostIfname))
  publishPorts(host, ports, plan.ip, plan.hostIfname, netfilter)
  return bridge
}

function attachedOf({ context, prev, slice }: Attempt, plan: Plan, bridge: Link, lease: Lease): Attached {
  const { attachment, conf, env, log } = context
  const dns = dnsOf(conf, slice, prev, context.dnsFallback)
  const result = mergeResults(prev, resultOf(plan, bridge, attachment, env.netns, dns))
  const after = async (): Promise<void> => {
    try {
      await announce(conf.registrar, assignmentOf(lease, conf.ipam.hostId, plan.prefixLen))
      log.info({ lease: lease.ip }, 'attachment added')
    } catch (err) {
      // Leases on disk are the truth: the gateway finds this one when it reconciles.
      log.warn({ err, lease: lease.ip }, 'attachment added, gateway not told')
    }
  }
  return { result, after }
}

/** The original error, with the failed undo steps in its details. */
function withUndoFailures(err: unknown, failed: readonly Error[]): unknown {
  if (failed.length === 0 || !(err instanceof FlatnetError)) return err
  const left = joinCauses(failed)
  const details = err.details === undefined ? left : `${err.details}; ${left}`
  return new FlatnetError(err.code, err.message, { cause: err.cause, details, facts: err.facts })
}
