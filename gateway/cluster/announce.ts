/** Announces to the cluster where this host can be reached, whenever its addresses changed. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Links } from '../links/links.ts'
import { ownEndpoints, signEndpoints } from './members/endpoints.ts'
import type { ClusterState } from './members/state.ts'

export interface AnnouncerDeps {
  readonly conf: DaemonConf
  readonly state: ClusterState
  readonly links: Links
  readonly clock: Clock
  readonly log: Log
}

export class Announcer {
  readonly #deps: AnnouncerDeps

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps
  }

  /** Looks at the addresses of this host, and sends them when they are news. */
  announce(): void {
    const { conf, clock, links, log, state } = this.#deps
    const listen = { host: conf.peers.listen.host, port: links.port }
    const { enabled, device } = conf.paths.nebula
    const endpoints = ownEndpoints({
      listen,
      advertise: conf.peers.advertise,
      supernet: conf.supernet,
      without: enabled ? device : undefined,
    })
    const before = state.endpoints.get(state.identity.hostId)
    if (JSON.stringify(before?.endpoints) === JSON.stringify(endpoints)) return
    const seq = Math.max((before?.seq ?? 0) + 1, Math.floor(clock.now() / 1000))
    const record = signEndpoints(state.identity, seq, endpoints)
    if (!state.putEndpoints(record)) return
    state.endpoints.save(log)
    links.broadcast({ type: 'cluster.endpoints', records: [record] })
  }
}
