/**
 * Two gateways in the process of the test, linked by real TLS, and no tunnel: host 2 with an ingress, host 1 with the
 * "containers" of 127.1.0.0/16.
 */
import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { Assignment } from '../../../core/api.ts'
import { systemClock } from '../../../core/clock.ts'
import { silentLog } from '../../../core/log.ts'
import { composeGateway, type Gateway } from '../../../gateway/compose.ts'
import { composeBase, NO_CLUSTER } from '../../../gateway/compose-base.ts'
import type { IngressDeps } from '../../../gateway/ingress/deps.ts'
import { createIngress } from '../../../gateway/ingress/server.ts'
import { Links } from '../../../gateway/links/links.ts'
import type { Identity, Member } from '../../../gateway/links/types.ts'
import { memberOf, testCluster } from '../cluster/cluster.ts'
import { scratchFolder } from '../run/scratch.ts'
import { waitFor } from '../run/wait.ts'
import { type Answer, type Asked, ask } from './gateway-fixture.ts'
import { assignmentOf, noLeases, testConf } from './gateway-samples.ts'
import { type FactsSample, factsOf } from './path-facts.ts'

interface PairHost {
  readonly parts: IngressDeps & Pick<Gateway, 'drainTransit'>
  readonly links: Links
  readonly identity: Identity
  readonly members: Map<number, Member>
}

export const NO_TUN = 'there is no TUN device here'

async function pairHost(t: Test, identity: Identity, { drainMs = 3_000 }: PairOptions): Promise<PairHost> {
  const conf = testConf(scratchFolder(t), { hostId: identity.hostId, ingress: { drainMs } })
  const members = new Map<number, Member>()
  const base = composeBase({
    conf,
    log: silentLog,
    clock: systemClock,
    leases: { read: async () => noLeases },
    epoch: 1,
  })
  const links = new Links({
    identity: () => identity,
    membership: {
      members: () => [...members.values()],
      refusal: (hostId) => (members.has(hostId) ? undefined : 'no member'),
    },
    listen: { host: '127.0.0.1', port: 0 },
    scheduler: base.scheduler,
    log: silentLog,
    metrics: base.metrics,
    events: { up() {}, down() {}, dataUp() {}, dataDown() {} },
  })
  const gateway = composeGateway(base, { ...NO_CLUSTER, streams: links.streams, noTunnel: () => NO_TUN })
  t.teardown(() => gateway.close())
  await links.start()
  t.teardown(() => links.stop())
  return { parts: { ...gateway.ingress, drainTransit: gateway.drainTransit }, links, identity, members }
}

export interface GatewayPair {
  /** Of host 2. */
  readonly port: number
  readonly near: PairHost
  /** Host 1. */
  readonly far: PairHost
  /** Registers with host 1, and with host 2 as the registry would tell it. */
  register(part: Partial<Assignment>): Assignment
  /** Only host 1 knows: the news is on its way. */
  withdraw(assignment: Assignment): void
  /** What host 2 decides its path by. */
  path(facts: Partial<FactsSample>): void
  /** Connections that host 1 dialled for host 2, by outcome. */
  forwarded(outcome: string): number
  get(host: string, path?: string, asked?: Asked): Promise<Answer>
}

const LINK = { state: 'up', reason: '', forMs: 10_000, rttMs: 1, hasData: true } as const

interface PairOptions {
  /** Of both. */
  readonly drainMs?: number
}

export async function gatewayPair(t: Test, options: PairOptions = {}): Promise<GatewayPair> {
  const cluster = await testCluster()
  const far = await pairHost(t, await cluster.identity(1), options)
  const near = await pairHost(t, await cluster.identity(2), options)
  near.members.set(1, memberOf(far.identity, `127.0.0.1:${far.links.port}`))
  far.members.set(2, memberOf(near.identity))
  near.links.refresh()
  far.links.refresh()
  await waitFor('the link is up', 10_000, () => far.links.view(2)?.state === 'up')
  const server = createIngress(near.parts)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const path: GatewayPair['path'] = (facts) =>
    void near.parts.paths.update(factsOf({ ownHostId: 2, hostId: 1, link: LINK, noTunnel: NO_TUN, ...facts }))
  path({})
  let seq = 0
  return {
    port,
    near,
    far,
    path,
    register(part) {
      const assignment = assignmentOf(part)
      far.parts.registry.put(assignment)
      near.parts.registry.replace(1, { epoch: 1, seq: ++seq }, far.parts.registry.all(1))
      return assignment
    },
    withdraw({ network, containerId, ifname }) {
      far.parts.registry.remove(`${network}/${containerId}/${ifname}`)
    },
    forwarded(outcome) {
      const line = new RegExp(`^flatnet_forwarded_streams_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm')
      return Number(line.exec(far.parts.metrics.text())?.[1] ?? 0)
    },
    get: (host, at = '/', asked = {}) =>
      ask({ port, path: at }, { ...asked, headers: { host, ...asked.headers } }),
  }
}

/** Passes a request on as a proxy in a container would. */
export const passOn = (to: { port: number; host: string }, headers: IncomingHttpHeaders): Promise<number> =>
  new Promise((resolve, reject) => {
    const req = request({ port: to.port, path: '/', headers: { ...headers, host: to.host }, agent: false })
    req.on('error', reject)
    req.on('response', (res) => {
      res.resume()
      resolve(res.statusCode ?? 0)
    })
    req.end()
  })
