/** `flatnet gateway`: runs the daemon of this host until SIGTERM or SIGINT. */
import { DEFAULT_DAEMON_CONF, readDaemonConf } from '../../conf/daemon.ts'
import { systemClock } from '../../core/clock.ts'
import { runGateway } from '../../gateway/daemon.ts'
import { openLog } from '../../gateway/log.ts'
import { version } from '../version.ts'
import { command } from './command.ts'

export const gatewayCommand = command({
  options: {
    config: {
      type: 'string',
      default: DEFAULT_DAEMON_CONF,
      requiresArg: true,
      describe: "The gateway's configuration",
    },
  },
  async run({ config }) {
    const conf = await readDaemonConf(config)
    const stop = new AbortController()
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
    const { log, close } = openLog(conf.log)
    try {
      await runGateway(conf, { signal: stop.signal, log, clock: systemClock, version: version() })
      return 0
    } finally {
      close()
    }
  },
})
