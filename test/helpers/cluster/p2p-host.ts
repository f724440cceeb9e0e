/** A program for tests: the process of direct paths with options only for tests. argv: P2pHostConf as JSON. */
import { parseDaemonConf } from '../../../conf/daemon.ts'
import { silentLog } from '../../../core/log.ts'
import { runP2p } from '../../../gateway/dataplane/p2p/process/main.ts'

export interface P2pHostConf {
  /** Text of flatnet.yaml. */
  readonly yaml: string
  readonly rekeyEveryMs?: number
}

const { yaml, ...options }: P2pHostConf = JSON.parse(process.argv[2] ?? '{}')
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
await runP2p({
  conf: parseDaemonConf(yaml),
  version: 'test',
  log: silentLog,
  signal: stop.signal,
  ...options,
})
