/** The calls that register, withdraw and list assignments. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { DaemonConf } from '../../conf/daemon.ts'
import type { Assignment, AssignmentReply, HostState, ListedAssignment } from '../../core/api.ts'
import { attachmentKey, sameAttachment } from '../../core/attachment.ts'
import type { Log } from '../../core/log.ts'
import type { Reconciler } from '../leases/reconciler.ts'
import type { LeaseSource } from '../leases/source.ts'
import type { PathTable } from '../paths/table.ts'
import { addressesOf, type Registry } from '../registry/registry.ts'
import { ApiProblem, sendJson } from './answer.ts'
import { outsideOf, validateAssignment } from './assignment-schema.ts'
import { readJson } from './body.ts'
import type { ClusterAccess } from './cluster-access.ts'

export interface AssignmentDeps {
  readonly conf: DaemonConf
  readonly registry: Registry
  readonly cluster: ClusterAccess
  readonly reconciler: Reconciler
  readonly leases: LeaseSource
  readonly paths: PathTable
  readonly log: Log
}

export async function postAssignment(
  deps: AssignmentDeps,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { conf, registry, reconciler, paths, log } = deps
  const validated = validateAssignment(await readJson(req))
  if (!validated.ok) {
    const { problems } = validated
    const message = problems.length === 1 ? problems[0]! : `${problems.length} problems in the assignment`
    throw new ApiProblem('ERR_FLATNET_API_INVALID', message, { problems })
  }
  const { assignment } = validated
  const outside = outsideOf(assignment, conf.hostId, conf.slice)
  if (outside !== undefined)
    throw new ApiProblem('ERR_FLATNET_API_NOT_OURS', outside, { problems: [outside] })
  await refuseHeld(deps, assignment)
  reconciler.notePosted(attachmentKey(assignment))
  const put = registered(registry, assignment)
  const reply: AssignmentReply = { ...assignment, paths: paths.peers() }
  if (put !== 'equal') {
    log.info({ attachment: attachmentKey(assignment), lease: assignment.ips[0] }, 'assignment registered')
  }
  sendJson(res, put === 'created' ? 201 : 200, reply)
}

function registered(registry: Registry, assignment: Assignment): ReturnType<Registry['put']> {
  try {
    return registry.put(assignment)
  } catch (err) {
    if (err instanceof RangeError) throw new ApiProblem('ERR_FLATNET_API_BUSY', 'the registry is full')
    throw err
  }
}

/**
 * The leases on disk decide which attachment holds an address: a registered container may have gone without a DEL.
 */
async function refuseHeld({ registry, leases }: AssignmentDeps, wanted: Assignment): Promise<void> {
  const rivals = registry.rivals(wanted)
  if (rivals.length === 0) return
  const { live, pending, stale } = await leases.read()
  for (const rival of rivals) {
    for (const ip of addressesOf(rival).filter((ip) => addressesOf(wanted).includes(ip))) {
      const holder = [...live, ...pending].find((l) => l.ip === ip)
      if (holder !== undefined && sameAttachment(holder, wanted)) continue
      if (holder === undefined && stale.some((l) => l.ip === ip && sameAttachment(l, rival))) continue
      const named = rival.name === undefined ? '' : ` (${rival.name})`
      const problem = `ips has ${ip}: it is held by ${attachmentKey(rival)}${named}`
      throw new ApiProblem('ERR_FLATNET_API_ADDRESS_HELD', problem, { problems: [problem] })
    }
  }
}

/** Unknown is success: a container whose POST never came is withdrawn all the same. */
export function deleteAssignment(deps: AssignmentDeps, key: string, res: ServerResponse): void {
  deps.reconciler.noteDeleted(key)
  if (deps.registry.remove(key) !== undefined) deps.log.info({ attachment: key }, 'assignment withdrawn')
  res.writeHead(204, { 'cache-control': 'no-store' }).end()
}

/** `?host=` a hostId, `?name=` a name or alias in any case; both narrow the list. */
export function listAssignments(
  { cluster, registry }: AssignmentDeps,
  query: URLSearchParams,
  res: ServerResponse,
): void {
  const host = query.get('host')
  if (host !== null && !/^\d{1,5}$/.test(host)) {
    throw new ApiProblem('ERR_FLATNET_API_INVALID', 'host must be a hostId, e.g. host=1')
  }
  const hostId = host === null ? undefined : Number(host)
  const name = query.get('name')
  const stateOf = (id: number): HostState =>
    cluster.quarantineOf(id) === undefined ? (registry.freshness(id) ?? 'gone') : 'quarantined'
  const found = name === null ? registry.all(hostId) : registry.byName(name)
  sendJson(
    res,
    200,
    found
      .filter((a) => hostId === undefined || a.hostId === hostId)
      .map((a): ListedAssignment => ({ ...a, hostState: stateOf(a.hostId) })),
  )
}
