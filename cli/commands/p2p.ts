/**
 * `flatnet p2p`: runs the process of direct paths of this host.
 *
 * The gateway or systemd starts it, not a person.
 */

import { readDaemonConf } from '../../conf/daemon.ts'
import { version } from '../../conf/version.ts'
import { runP2p } from '../../gateway/dataplane/p2p/process/main.ts'
import { command } from '../command.ts'
import { runUntilSignal } from '../gateway/long-run.ts'
import { configOption } from '../host/places.ts'

/** EX_CONFIG of sysexits.h: the unit does not start it again (RestartPreventExitStatus). */
const NOTHING_TO_DO = 78

export const p2pCommand = command({
  options: configOption,
  async run({ config }, { io }) {
    const conf = await readDaemonConf(config)
    if (!conf.p2p.enabled) {
      io.stderr.write(`p2p.enabled is false in ${config}: packets go by the gateways' connections\n`)
      return NOTHING_TO_DO
    }
    return runUntilSignal(conf.log, {
      // The device and its routes end with the process: packets take the gateway path at once.
      crashed: (log, err) =>
        log.error({ err }, 'process of direct paths ends by an error that was not caught'),
      run: (log, signal) => runP2p({ conf, version: version(), log, signal }),
    })
  },
})
