/** Members of a cluster in the test's process, on loopback: real files, TLS and messages, and settable clocks. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { daemonConf } from '../../../conf/daemon.ts'
import type { Clock } from '../../../core/clock.ts'
import type { LogFields } from '../../../core/log.ts'
import { Events, type GatewayEvent } from '../../../gateway/base/events.ts'
import { Metrics } from '../../../gateway/base/metrics.ts'
import { systemScheduler } from '../../../gateway/base/scheduler.ts'
import { Cluster } from '../../../gateway/cluster/cluster.ts'
import { ClusterFiles } from '../../../gateway/cluster/identity/files.ts'
import { createCluster, enterCluster } from '../../../gateway/cluster/joining/create.ts'
import { decodeToken, type Grant } from '../../../gateway/cluster/joining/tokens.ts'
import { scratchFolder } from '../run/scratch.ts'

export interface SetClock extends Clock {
  /** Added to the wall clock, ms. */
  offset: number
}

export const setClock = (): SetClock => ({
  offset: 0,
  now() {
    return Date.now() + this.offset
  },
  monotonic: () => performance.now(),
})

export interface RunningMember {
  readonly hostId: number
  readonly folder: string
  readonly files: ClusterFiles
  readonly clock: SetClock
  readonly events: GatewayEvent[]
  readonly logged: { readonly event: string; readonly fields: LogFields }[]
  /** The present run's. */
  readonly cluster: Cluster
  /** Hosts that two machines claim to be. */
  readonly quarantined: Set<number>
  start(): Promise<void>
  stop(): Promise<void>
  token(grant?: Grant, ttlMs?: number): string
}

class Member implements RunningMember {
  readonly hostId: number
  readonly folder: string
  readonly files: ClusterFiles
  readonly clock = setClock()
  readonly quarantined = new Set<number>()
  readonly events: GatewayEvent[] = []
  readonly logged: RunningMember['logged'] = []
  #cluster: Cluster | undefined
  /** Stays the same over restarts, like a configured port. */
  #port = 0

  constructor(hostId: number, folder: string) {
    this.hostId = hostId
    this.folder = folder
    this.files = new ClusterFiles(folder)
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error(`host ${this.hostId} does not run`)
    return this.#cluster
  }

  async start(): Promise<void> {
    const write = (fields: LogFields, event: string): void => {
      this.logged.push({ event, fields })
    }
    const events = new Events()
    events.listen(({ event }) => this.events.push(event))
    const conf = daemonConf({
      hostId: this.hostId,
      dataDir: this.folder,
      peers: { listen: `127.0.0.1:${this.#port}` },
    })
    const log = { debug: write, info: write, warn: write, error: write }
    const metrics = new Metrics()
    this.#cluster = new Cluster(
      {
        conf,
        scheduler: systemScheduler(this.clock),
        log,
        events,
        metrics,
        version: 'test',
        isQuarantined: (hostId) => this.quarantined.has(hostId),
      },
      this.files,
    )
    await this.#cluster.start()
    this.#port = this.#cluster.links.port
  }

  async stop(): Promise<void> {
    await this.#cluster?.stop()
    this.#cluster = undefined
  }

  token(grant: Grant = {}, ttlMs = 60_000): string {
    return this.cluster.operations.makeToken(ttlMs, grant).token
  }
}

/** @param folder where the host keeps its `cluster/` */
export async function runningMember(
  t: Pick<Test, 'teardown'>,
  folder: string,
  hostId: number,
): Promise<RunningMember> {
  const member = new Member(hostId, folder)
  t.teardown(() => member.stop())
  await member.start()
  return member
}

const NET = { supernet: { base: 0x0a640000, prefixLen: 16 }, hostPrefix: 24 }

export async function firstMember(t: Test, folder: string): Promise<RunningMember> {
  const wishes = { cluster: 'testing', hostId: 1, name: 'h1', endpoints: [], ...NET, now: Date.now() }
  await createCluster(new ClusterFiles(folder), wishes)
  return runningMember(t, folder, 1)
}

/** Joins by a token, but does not start. @returns its hostId */
export async function enter(folder: string, token: string, name = 'h', now = Date.now()): Promise<number> {
  const { hostId } = await enterCluster(new ClusterFiles(folder), decodeToken(token), {
    name,
    endpoints: [],
    now,
  })
  return hostId
}

/** Host 1 and others that joined it, all running but maybe not linked yet. */
export async function members(t: Test, count: number): Promise<RunningMember[]> {
  const dir = scratchFolder(t)
  const first = await firstMember(t, join(dir, '1'))
  const all = [first]
  for (let n = 2; n <= count; n++) {
    const folder = join(dir, String(n))
    all.push(await runningMember(t, folder, await enter(folder, first.token(), `h${n}`)))
  }
  return all
}

export const isLinked = (a: RunningMember, b: RunningMember): boolean =>
  a.cluster.links.view(b.hostId)?.state === 'up' && b.cluster.links.view(a.hostId)?.state === 'up'
