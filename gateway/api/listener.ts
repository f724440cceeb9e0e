/** Opens the API on its socket, looks after the socket, and ends event streams before it closes. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { type ApiDeps, createApi } from './server.ts'
import { ApiSocket } from './socket.ts'

export function apiListener(conf: DaemonConf, scheduler: Scheduler, deps: ApiDeps): Part {
  const socket = new ApiSocket(conf.api, () => createApi(deps), deps.log)
  let stopRounds: (() => void) | undefined
  return {
    async start() {
      await socket.open()
      stopRounds = scheduler.every(conf.reconcileMs, () => void socket.ensure())
    },
    stop() {
      stopRounds?.()
      deps.streams.close()
      return socket.close()
    },
  }
}
