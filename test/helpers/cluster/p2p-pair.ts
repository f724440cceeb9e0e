/** Two hosts with a direct UDP path between them and a container on each, and what tests ask about their paths. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { PathInfo, PathState } from '../../../core/api.ts'
import { routeMetrics } from '../kernel/route-metrics.ts'
import { timeUntil, waitFor } from '../run/wait.ts'
import { type HostContainer, hostContainer } from './host-container.ts'
import { joinedHosts, type TestHost, type TestNet } from './hosts.ts'
import { type Answer, steadyRequests } from './steady-requests.ts'
import { type UdpFaults, udpFaults } from './udp-faults.ts'

export interface P2pPair {
  readonly net: TestNet
  readonly one: TestHost
  readonly two: TestHost
  /** On host 1 and on host 2. */
  readonly apple: HostContainer
  readonly berry: HostContainer
  readonly faults: UdpFaults
}

/** For what the tests wait for and no bound is set to: it takes a second, and half a minute on a busy machine. */
export const PATIENCE_MS = 60_000
/** From the first promise of both gateways to a container's packets on UDP. */
export const PROMOTED_WITHIN_MS = 5_000

export const pathTo = (from: TestHost, hostId: number): Promise<PathInfo> => from.api(`/v1/paths/${hostId}`)

/** Metrics of the kernel's routes to a host's slice, the best first. */
export function metricsTo(from: TestHost, hostId: number): number[] {
  const network = `10.100.${hostId}.0`
  if (from.pid !== undefined) return routeMetrics(from.pid, network)
  const routes: { metric?: number }[] = from.ns.json('ip', '-j', 'route', 'show', `${network}/24`)
  return routes.map(({ metric = 0 }) => metric).sort((a, b) => a - b)
}

/** Finds a host's P2P process by its command line. */
export function p2pPid(host: TestHost): number | undefined {
  const pids = host.ns.exec('sh', '-c', `ip netns pids ${host.ns.name}`).split('\n').filter(Boolean)
  return pids.map(Number).find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('p2p')
    } catch {
      return false // It ended meanwhile.
    }
  })
}

/** @param spare how many more machines to make, e.g. for a delay proxy */
export async function p2pPair(t: Test, { spare = 0 }: { readonly spare?: number } = {}): Promise<P2pPair> {
  const net = await joinedHosts(t, 2, { spare, p2p: true })
  const [one, two] = [net.host(1), net.host(2)]
  const [apple, berry] = [await hostContainer(t, one, 'apple'), await hostContainer(t, two, 'berry')]
  return { net, one, two, apple, berry, faults: udpFaults(net) }
}

type Ends = Pick<P2pPair, 'one' | 'two'>

/** Waits until both ends report this state of each other and have the kernel routes that belong to it. */
export const bothAre = (pair: Ends, state: PathState, timeoutMs = PATIENCE_MS): Promise<void> =>
  untilBothAre(pair, state, timeoutMs, async () => {})

/** @param meanwhile is called before each look */
async function untilBothAre(
  pair: Ends,
  state: PathState,
  timeoutMs: number,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const wanted = state === 'P2P_ACTIVE' ? [100, 200] : [200]
  let seen = ''
  try {
    await waitFor(`both paths are ${state}, with routes of metric ${wanted}`, timeoutMs, async () => {
      await meanwhile()
      const ends = await endsOf(pair)
      seen = ends.map(({ path, metrics }) => `${path.state}, ${metrics}: ${path.p2p?.reason}`).join('; ')
      return ends.every(({ path, metrics }) => path.state === state && String(metrics) === String(wanted))
    })
  } catch (cause) {
    throw new Error(`${(cause as Error).message}; seen last: ${seen}`, { cause })
  }
}

async function endsOf({ one, two }: Ends): Promise<{ path: PathInfo; metrics: number[] }[]> {
  const paths = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
  const metrics = [metricsTo(one, 2), metricsTo(two, 1)]
  return paths.map((path, i) => ({ path, metrics: metrics[i] ?? [] }))
}

export const becomesDirect = (pair: P2pPair, timeoutMs = PATIENCE_MS): Promise<void> =>
  bothAre(pair, 'P2P_ACTIVE', timeoutMs)

/** A try that fails on a busy machine is followed by a wait, which a person ends. */
const ORDER_EVERY_MS = 5_000

/** Ends all faults but delays, and orders tries until packets are back on UDP. */
export async function directAgain(pair: P2pPair): Promise<void> {
  pair.faults.heal()
  let orderedAt = Number.NEGATIVE_INFINITY
  await untilBothAre(pair, 'P2P_ACTIVE', PATIENCE_MS, async () => {
    const now = performance.now()
    if (now - orderedAt < ORDER_EVERY_MS) return
    orderedAt = now
    await retryAt(pair)
  })
}

/** `flatnet retry` at both, by the API: the program takes half a second on a busy machine. */
export async function retryAt({ one, two }: Ends): Promise<void> {
  await Promise.all([one, two].map((host) => host.api('/v1/paths/retry', {})))
}

/** Waits until neither end sends by UDP, for any reason. @returns how many ms that took */
export const leavesUdp = ({ one, two }: P2pPair, timeoutMs = PATIENCE_MS): Promise<number> =>
  timeUntil('no route of metric 100 is left', timeoutMs, () =>
    [metricsTo(one, 2), metricsTo(two, 1)].every((r) => !r.includes(100)),
  )

/** How often a host has moved its packets to a UDP path so far. */
export const promotionsOf = (host: TestHost): number =>
  host.logged('path changed').filter(({ path }) => path.startsWith('P2P_ACTIVE')).length

/** Watches the pair for so long. @returns for how many ms of it either end reported another state than P2P_ACTIVE */
export async function awayFromUdp({ one, two }: P2pPair, forMs: number): Promise<number> {
  const began = performance.now()
  let [lookedAt, awayMs] = [began, 0]
  await waitFor(`${forMs} ms have passed`, forMs + PATIENCE_MS, async () => {
    const paths = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
    const now = performance.now()
    if (!paths.every(({ state }) => state === 'P2P_ACTIVE')) awayMs += now - lookedAt
    lookedAt = now
    return now - began > forMs
  })
  return Math.ceil(awayMs)
}

export interface Requests {
  /** Waits until `count` requests have been answered since the start. */
  answered(count: number): Promise<void>
  /** Ends the client. @returns every answer, in order of sending */
  stop(): Promise<Answer[]>
}

/** Sends requests from a container of host 1 to one of host 2, at a steady rate, until stopped. */
export const requestsTo = ({ apple, berry }: Pick<P2pPair, 'apple' | 'berry'>, perSecond: number): Requests =>
  requestsInTurn(apple, [berry], perSecond)

/** Sends requests from one container to others in turn. @param perSecond of all together */
export function requestsInTurn(
  from: HostContainer,
  to: readonly Pick<HostContainer, 'ip'>[],
  perSecond: number,
): Requests {
  const child = from.spawn(...steadyRequests(perSecond, ...to.map(({ ip }) => `http://${ip}/`)))
  let out = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const ended = once(child, 'close')
  return {
    async answered(count) {
      await waitFor(
        `${count} requests are answered`,
        PATIENCE_MS,
        () => Number(out.trim().split('\n').at(-1)) >= count,
      )
    },
    async stop() {
      child.stdin?.end()
      await ended
      return JSON.parse(out.trim().split('\n').at(-1) ?? '[]')
    },
  }
}

export const failures = (answers: readonly Answer[]): Answer[] =>
  answers.filter(([, , outcome]) => outcome !== 200)

/** The longest time without an answer, ms. */
export function worstGap(answers: readonly Answer[]): number {
  const arrivals = answers.map(([at, ms]) => at + ms).sort((a, b) => a - b)
  return Math.max(0, ...arrivals.slice(1).map((at, i) => at - (arrivals[i] ?? at)))
}
