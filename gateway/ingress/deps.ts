/** What the parts of ingress share. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Log } from '../../core/log.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { BrowserCertificates } from '../cluster/identity/browser-certificates.ts'
import type { PathTable } from '../paths/table.ts'
import type { NameLookup } from '../registry/names.ts'
import type { Registry } from '../registry/registry.ts'
import type { HostNames } from './host-names.ts'
import type { KeptListeners } from './kept-listeners.ts'
import type { LateMessages } from './late.ts'
import type { Pool } from './upstream/pool.ts'

export interface IngressDeps {
  readonly conf: DaemonConf
  readonly registry: Registry
  readonly paths: PathTable
  readonly metrics: Metrics
  readonly log: Log
  readonly scheduler: Scheduler
  readonly pool: Pool
  readonly names: HostNames
  /** Of the registry, without the names that no container may take. */
  readonly lookup: NameLookup
  /** Keeps the listeners open over a reload; undefined: there is none. */
  readonly keptListeners: KeptListeners | undefined
  /** Of the cluster's CA; undefined: this host is in no cluster. */
  readonly browserCertificates: BrowserCertificates | undefined
  /** Between hosts that no path connects; undefined: this host is in no cluster. */
  readonly messages: LateMessages | undefined
  /** Called once for each answer, see `answerCounter`. */
  readonly countAnswer: (status: number) => void
  /** What has no end of its own, such as event streams and WebSockets: cut off when the gateway stops. */
  readonly endless: Set<{ destroy(): unknown }>
}
