/** What the parts of ingress share. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Log } from '../../core/log.ts'
import type { Metrics } from '../base/metrics.ts'
import type { PathTable } from '../paths/table.ts'
import type { Registry } from '../registry/registry.ts'
import type { Pool } from './upstream/pool.ts'

export interface IngressDeps {
  readonly conf: DaemonConf
  readonly registry: Registry
  readonly paths: PathTable
  readonly metrics: Metrics
  readonly log: Log
  readonly pool: Pool
  /** Names of this machine, lower case: they show the list of containers. */
  readonly ownNames: ReadonlySet<string>
  /** Called once for each answer, see `answerCounter`. */
  readonly countAnswer: (status: number) => void
  /** What has no end of its own, such as event streams and WebSockets: cut off when the gateway stops. */
  readonly endless: Set<{ destroy(): unknown }>
}
