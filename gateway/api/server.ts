/** The API over its Unix socket (docs/api.md): routes, status and errors. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { attachmentKey } from '../../core/attachment.ts'
import { ConnectionSlots } from '../base/connection-slots.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Tiers } from '../paths/tiers.ts'
import { ApiProblem, sendJson, sendProblem } from './answer.ts'
import { type AssignmentDeps, deleteAssignment, listAssignments, postAssignment } from './assignments.ts'
import {
  type ClusterCallDeps,
  getBrowserCa,
  postLeave,
  postReload,
  postRevoke,
  postToken,
} from './cluster.ts'
import type { EventStreams } from './events.ts'
import { hostViews } from './host-view.ts'
import { type HostCallDeps, postRelease } from './hosts.ts'
import { listPaths, listTiers, pathOf, postRetry } from './paths.ts'
import { matchRoute, type Route } from './routes.ts'
import type { Status } from './status.ts'

export interface ApiDeps extends AssignmentDeps, ClusterCallDeps, HostCallDeps {
  readonly streams: EventStreams
  readonly metrics: Metrics
  readonly tiers: Tiers
  status(): Promise<Status>
}

interface Call {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly params: readonly string[]
  readonly query: URLSearchParams
}

type Handler = (deps: ApiDeps, call: Call) => void | Promise<void>

const ROUTES: readonly Route<Handler>[] = [
  { method: 'POST', pattern: '/v1/assignments', handler: (p, c) => postAssignment(p, c.req, c.res) },
  { method: 'GET', pattern: '/v1/assignments', handler: (p, c) => listAssignments(p, c.query, c.res) },
  {
    method: 'DELETE',
    pattern: '/v1/assignments/*/*/*',
    handler(p, { params: [network = '', containerId = '', ifname = ''], res }) {
      deleteAssignment(p, attachmentKey({ network, containerId, ifname }), res)
    },
  },
  { method: 'GET', pattern: '/v1/hosts', handler: (p, c) => sendJson(c.res, 200, hosts(p)) },
  {
    method: 'POST',
    pattern: '/v1/hosts/*/release',
    handler: (p, c) => postRelease(p, c.params[0] ?? '', c.res),
  },
  { method: 'GET', pattern: '/v1/cluster/browser-ca', handler: (p, c) => getBrowserCa(p, c.req, c.res) },
  { method: 'POST', pattern: '/v1/cluster/tokens', handler: (p, c) => postToken(p, c.req, c.res) },
  { method: 'POST', pattern: '/v1/cluster/revoke', handler: (p, c) => postRevoke(p, c.req, c.res) },
  { method: 'POST', pattern: '/v1/cluster/leave', handler: (p, c) => postLeave(p, c.req, c.res) },
  { method: 'POST', pattern: '/v1/reload', handler: (p, c) => postReload(p, c.req, c.res) },
  { method: 'GET', pattern: '/v1/paths', handler: (p, c) => sendJson(c.res, 200, listPaths(p)) },
  { method: 'POST', pattern: '/v1/paths/retry', handler: (p, c) => postRetry(p, undefined, c.res) },
  { method: 'POST', pattern: '/v1/paths/*/retry', handler: (p, c) => postRetry(p, c.params[0], c.res) },
  {
    method: 'GET',
    pattern: '/v1/paths/*',
    handler: (p, c) => sendJson(c.res, 200, pathOf(p, c.params[0] ?? '')),
  },
  { method: 'GET', pattern: '/v1/tiers', handler: (p, c) => sendJson(c.res, 200, listTiers(p)) },
  { method: 'GET', pattern: '/v1/events', handler: (p, c) => p.streams.open(c.req, c.res) },
  { method: 'GET', pattern: '/v1/status', handler: async (p, c) => sendJson(c.res, 200, await p.status()) },
  { method: 'GET', pattern: '/healthz', handler: (_, c) => sendText(c.res, 'ok\n') },
  { method: 'GET', pattern: '/metrics', handler: (p, c) => sendText(c.res, p.metrics.text()) },
]

/** In all; event streams are most of those that are not waiting. */
const MAX_CONNECTIONS = 256
/** Without a call under way. When there are more the oldest goes, so silent clients keep no ADD out. */
const MAX_WAITING = 192

/** Callers are local and few; a call is small and quick. Events are the exception, and they have sent their request. */
export function createApi(deps: ApiDeps): Server {
  const server = createServer({
    headersTimeout: 5000,
    requestTimeout: 10_000,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: 1000,
    maxHeaderSize: 16_384,
  })
  server.maxConnections = MAX_CONNECTIONS
  const waiting = new ConnectionSlots<Socket>({ max: MAX_WAITING, maxOfClient: MAX_WAITING })
  const wait = (socket: Socket): void => waiting.enter('', socket, socket)
  server.on('connection', wait)
  server.on('request', (req, res) => {
    waiting.leave('', req.socket)
    res.once('close', () => {
      if (!req.socket.destroyed) wait(req.socket)
    })
    void handle(deps, req, res)
  })
  return server
}

async function handle(deps: ApiDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  res.on('finish', () => {
    const labels = { method: req.method ?? '', status: String(res.statusCode) }
    deps.metrics.count('flatnet_api_requests_total', 'Answered calls of the API', labels)
  })
  res.on('error', () => {})
  try {
    const [path = '', ...rest] = (req.url ?? '').split('?')
    const { handler, params } = matchRoute(ROUTES, req.method ?? '', path)
    await handler(deps, { req, res, params, query: new URLSearchParams(rest.join('?')) })
  } catch (err) {
    answerError(deps, res, err)
  }
}

function answerError(deps: ApiDeps, res: ServerResponse, err: unknown): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  if (err instanceof ApiProblem) sendProblem(res, err)
  else {
    deps.log.error({ err }, 'api call failed')
    sendProblem(
      res,
      new ApiProblem('ERR_FLATNET_API_INTERNAL', 'the gateway made a mistake; its log says more'),
    )
  }
}

const hosts = ({ cluster, registry, paths }: ApiDeps): unknown => hostViews(cluster, registry, paths)

function sendText(res: ServerResponse, text: string): void {
  const type = 'text/plain; version=0.0.4; charset=utf-8'
  res.writeHead(200, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  })
  res.end(text)
}
