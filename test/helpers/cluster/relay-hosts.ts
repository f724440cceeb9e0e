/** Gateways on loopback with real links, streams and relays, and with a clock that tests can put forward. */
import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { DEFAULT_TIERS } from '../../../conf/tiers.ts'
import { silentLog } from '../../../core/log.ts'
import { Metrics } from '../../../gateway/base/metrics.ts'
import { systemScheduler } from '../../../gateway/base/scheduler.ts'
import { Relays } from '../../../gateway/dataplane/relay/relays.ts'
import { Links } from '../../../gateway/links/links.ts'
import type { Identity, Member, Membership } from '../../../gateway/links/types.ts'
import { waitFor } from '../run/wait.ts'
import { SimTime, seeded } from '../sim/network.ts'
import { memberOf, testCluster } from './cluster.ts'

const WAIT_MS = 10_000
const STEP_MS = 5

export interface RelayHost {
  readonly identity: Identity
  readonly links: Links
  readonly members: Map<number, Member>
  readonly refused: Map<number, string>
  readonly metrics: Metrics
  /** Absent at a host whose streams the test answers. */
  readonly relays: Relays | undefined
  /** Why the host carries no packets; undefined: it does. */
  readonly state: { noTunnel: string | undefined; takesRelays: boolean }
  /** What the relays reported, e.g. `up 2 3`. */
  readonly told: string[]
  /** The present connections, by `<hostId> <relay>`. */
  readonly sockets: Map<string, TLSSocket>
}

export interface RelayHosts {
  readonly time: SimTime
  host(hostId: number): RelayHost
  /** The relays of a host that has them. */
  relays(hostId: number): Relays
  isUsable(at: number, hostId: number, relay: number): boolean
  /** Both ends of the connection between two hosts, once both know of it. */
  joined(a: number, b: number, relay: number): Promise<[TLSSocket, TLSSocket]>
}

/**
 * @param links pairs of hosts that reach each other; all are members
 * @param bare hosts whose streams the test answers
 */
export async function relayHosts(
  t: Test,
  links: readonly (readonly [number, number])[],
  bare: readonly number[] = [],
): Promise<RelayHosts> {
  const cluster = await testCluster()
  const time = new SimTime()
  const pump = setInterval(() => time.run(STEP_MS), STEP_MS)
  t.teardown(() => clearInterval(pump))
  const hosts = new Map<number, RelayHost>()
  const identities = new Map<number, Identity>()
  for (const hostId of new Set(links.flat())) {
    const identity = await cluster.identity(hostId)
    identities.set(hostId, identity)
    hosts.set(hostId, await relayHost(t, identity, time, !bare.includes(hostId)))
  }
  const host = (hostId: number): RelayHost => hosts.get(hostId)!
  const areLinked = (a: number, b: number): boolean =>
    links.some(([x, y]) => (x === a && y === b) || (x === b && y === a))
  for (const [a, { members }] of hosts) {
    for (const [b, { links }] of hosts) {
      const endpoints = areLinked(a, b) ? [`127.0.0.1:${links.port}`] : []
      if (a !== b) members.set(b, memberOf(identities.get(b)!, ...endpoints))
    }
  }
  for (const { links } of hosts.values()) links.refresh()
  const isUp = (a: number, b: number): boolean => host(a).links.view(b)?.state === 'up'
  await waitFor('all links are up', WAIT_MS, () => links.every(([a, b]) => isUp(a, b) && isUp(b, a)))
  return {
    time,
    host,
    relays: (hostId) => host(hostId).relays!,
    isUsable: (at, hostId, relay) => host(at).relays?.problem(hostId, relay) === undefined,
    async joined(a, b, relay) {
      return waitFor(`${a} and ${b} are joined by ${relay}`, WAIT_MS, () => {
        const ends = [host(a).sockets.get(`${b} ${relay}`), host(b).sockets.get(`${a} ${relay}`)]
        return ends.every((s) => s?.destroyed === false) ? (ends as [TLSSocket, TLSSocket]) : undefined
      })
    },
  }
}

async function relayHost(t: Test, identity: Identity, time: SimTime, hasRelays: boolean): Promise<RelayHost> {
  const { hostId } = identity
  const members = new Map<number, Member>()
  const refused = new Map<number, string>()
  const membership: Membership = {
    members: () => [...members.values()],
    refusal: (id, keyId) =>
      refused.get(id) ?? (members.get(id)?.keyId === keyId ? undefined : 'another key holds its number'),
  }
  const links = new Links({
    identity: () => identity,
    membership,
    listen: { host: '127.0.0.1', port: 0 },
    scheduler: systemScheduler(),
    log: silentLog,
    metrics: new Metrics(),
    events: {
      up: (id) => relays?.linkUp(id),
      down() {},
      dataUp() {},
      dataDown() {},
    },
  })
  const state: RelayHost['state'] = { noTunnel: undefined, takesRelays: true }
  const told: string[] = []
  const sockets = new Map<string, TLSSocket>()
  const metrics = new Metrics()
  const relays: Relays | undefined = !hasRelays
    ? undefined
    : new Relays({
        conf: { volunteer: true, maxPairs: 64 },
        get tier() {
          return { ...DEFAULT_TIERS.relay, enabled: state.takesRelays }
        },
        identity: () => identity,
        membership,
        streams: links.streams,
        scheduler: time.scheduler(() => 0),
        random: seeded(hostId),
        metrics,
        log: silentLog,
        noTunnel: () => state.noTunnel,
        isLinked: (id) => links.view(id)?.state === 'up',
        events: {
          up(id, relay, socket) {
            told.push(`up ${id} ${relay}`)
            sockets.set(`${id} ${relay}`, socket)
          },
          down(id, relay, reason) {
            told.push(`down ${id} ${relay}: ${reason}`)
            sockets.delete(`${id} ${relay}`)
          },
          problemChanged: (id, relay) =>
            void told.push(`problem ${id} ${relay}: ${relays?.problem(id, relay) ?? 'none'}`),
        },
      })
  await links.start()
  t.teardown(() => {
    relays?.stop()
    return links.stop()
  })
  return { identity, links, members, refused, metrics, relays, state, told, sockets }
}
