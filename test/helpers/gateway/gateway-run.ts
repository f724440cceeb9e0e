/** Runs the gateway as a process of its own: `node gateway-run.ts <flatnet.yaml>`; SIGTERM stops it. */
import { readDaemonConf } from '../../../conf/daemon.ts'
import { runGateway } from '../../../gateway/daemon.ts'

const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
process.once('SIGINT', () => stop.abort())
try {
  await runGateway(await readDaemonConf(process.argv[2]), { signal: stop.signal })
} catch (err) {
  process.stderr.write(`${err instanceof Error ? err.message : String(err)}\n`)
  process.exitCode = 1
}
