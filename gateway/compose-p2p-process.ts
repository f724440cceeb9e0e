/** Wires the P2P process: keeps one running, and stops the one that `p2p.enabled: false` left behind. */

import { dirname, join } from 'node:path'
import type { Millis } from '../core/clock.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { Base } from './compose-base.ts'
import { connectProcess } from './dataplane/p2p/process-client.ts'
import { ProcessSupervisor } from './dataplane/p2p/supervisor.ts'

const socketOf = ({ conf }: Base): string => join(dirname(conf.api.socket), 'p2p.sock')

export function makeSupervisor(
  base: Base,
  events: ConstructorParameters<typeof ProcessSupervisor>[0]['events'],
): ProcessSupervisor {
  const { conf, launchP2p, log, scheduler, version = '' } = base
  return new ProcessSupervisor({
    socketPath: socketOf(base),
    hostId: conf.hostId,
    version,
    scheduler,
    log,
    events,
    launch: launchP2p,
    kill(pid) {
      try {
        process.kill(pid, 'SIGTERM')
      } catch (err) {
        log.debug({ err, pid }, 'p2p process was gone already')
      }
    },
  })
}

/** The reload that sets `p2p.enabled` to false drops the links: until they are back, packets have no other way. */
const LEFTOVER_WAITS_MS: Millis = 5_000
const LOOK_EVERY_MS: Millis = 100

/** `p2p.enabled` was set to false while a process ran: its device and routes go with it. @returns how to call it off */
export function stopLeftover(base: Base, { links }: Cluster): () => void {
  const { scheduler } = base
  const until = scheduler.monotonic() + LEFTOVER_WAITS_MS
  const cancel = scheduler.every(LOOK_EVERY_MS, () => {
    if (scheduler.monotonic() < until && links.views().some(({ state }) => state !== 'up')) return
    cancel()
    stopProcess(base)
  })
  return cancel
}

function stopProcess(base: Base): void {
  const { log, scheduler, version = '' } = base
  connectProcess(
    { path: socketOf(base), version, scheduler },
    {
      ready(connection) {
        log.info({ pid: connection.hello.pid }, 'p2p process is stopped, as the configuration says')
        connection.send({ type: 'stop', reason: 'off' })
      },
      message() {},
      closed() {},
    },
  )
}
