/** The calls that change the cluster (tokens, revoking, leaving), and the one that reloads the gateway. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { FlatnetError } from '../../core/errors.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Grant } from '../cluster/joining/tokens.ts'
import { ApiProblem, sendJson } from './answer.ts'
import { readJson } from './body.ts'
import type { ClusterAccess } from './cluster-access.ts'

export interface ClusterCallDeps {
  readonly cluster: ClusterAccess
  /** Reads flatnet.yaml and the cluster's files again; undefined when the command that runs the gateway cannot. */
  readonly reload: (() => void) | undefined
}

type Call = (deps: ClusterCallDeps, req: IncomingMessage, res: ServerResponse) => Promise<void>

const MAX_TTL_MS = 7 * 86_400_000

/** Shows the caller what the cluster refuses; anything else is a fault of Flatnet. */
async function asked<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (err) {
    if (err instanceof FlatnetError) throw new ApiProblem('ERR_FLATNET_API_CLUSTER', err.message)
    throw err
  }
}

async function bodyOf(req: IncomingMessage): Promise<JsonObject> {
  const body = await readJson(req)
  if (isObject(body)) return body
  throw new ApiProblem('ERR_FLATNET_API_INVALID', 'the body must be an object')
}

function number(body: JsonObject, key: string, max: number): number | undefined {
  const value = body[key]
  if (value === undefined) return undefined
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max) return value as number
  throw new ApiProblem('ERR_FLATNET_API_INVALID', `${key} must be a whole number from 1 to ${max}`)
}

/** `{ ttlMs, hostId?, replaces? }` → 201 `{ token, expiresAt }`; the token is nowhere else. */
export const postToken: Call = async (deps, req, res) => {
  const cluster = deps.cluster.demand()
  const body = await bodyOf(req)
  const ttlMs = number(body, 'ttlMs', MAX_TTL_MS) ?? 600_000
  const hostId = number(body, 'hostId', 65_534)
  const replaces = number(body, 'replaces', 65_534)
  if (hostId !== undefined && replaces !== undefined) {
    throw new ApiProblem('ERR_FLATNET_API_INVALID', 'hostId and replaces exclude each other')
  }
  const grant: Grant = {
    ...(hostId !== undefined && { hostId }),
    ...(replaces !== undefined && { replaces }),
  }
  sendJson(res, 201, await asked(() => cluster.operations.makeToken(ttlMs, grant)))
}

/** → 200 `{ caPem }`: the CA that browsers have to know for `ingress.tls: internal`. */
export const getBrowserCa: Call = async (deps, _req, res) => {
  const { browserCertificates } = deps.cluster.demand()
  sendJson(res, 200, { caPem: await asked(() => browserCertificates.caPem()) })
}

/** `{ hostId }` → 200 with the member. */
export const postRevoke: Call = async (deps, req, res) => {
  const cluster = deps.cluster.demand()
  const hostId = number(await bodyOf(req), 'hostId', 65_534)
  if (hostId === undefined) throw new ApiProblem('ERR_FLATNET_API_INVALID', 'hostId is missing')
  sendJson(res, 200, await asked(() => cluster.operations.revoke(hostId)))
}

/** → 200 when the list of members says that this host has left. */
export const postLeave: Call = async (deps, req, res) => {
  const cluster = deps.cluster.demand()
  await bodyOf(req)
  await asked(() => cluster.operations.leave())
  sendJson(res, 200, { left: true })
}

/** → 202; the gateway is back within a second or two. */
export const postReload: Call = async ({ reload }, req, res) => {
  await bodyOf(req)
  if (reload === undefined) throw new ApiProblem('ERR_FLATNET_API_BUSY', 'this gateway has to be restarted')
  sendJson(res, 202, { reloading: true })
  reload()
}
