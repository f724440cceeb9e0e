/** Opens the API on its socket, looks after the socket, and ends event streams before it closes. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Part } from '../base/part.ts'
import { type ApiDeps, createApi } from './server.ts'
import { ApiSocket } from './socket.ts'

export function apiListener(conf: DaemonConf, deps: ApiDeps): Part {
  const socket = new ApiSocket(conf.api, () => createApi(deps), deps.log)
  let round: NodeJS.Timeout | undefined
  return {
    async start() {
      await socket.open()
      round = setInterval(() => void socket.ensure(), conf.reconcileMs)
    },
    stop() {
      clearInterval(round)
      deps.streams.close()
      return socket.close()
    },
  }
}
