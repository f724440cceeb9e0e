/** Makes a gateway that runs read its files again, and waits until it has. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Status } from '../../gateway/api/status.ts'
import { type ApiPlace, apiGet, apiPost, GatewayDownError } from '../host/client.ts'
import { howToRestart, itsLog } from '../host/service.ts'
import { CliError, type Io } from '../ui/output.ts'
import { withProgress } from '../ui/progress.ts'

const RELOAD_MS = 30_000

/**
 * @param isThere whether a status is that of the reread files
 * @returns false when none runs
 */
export async function reloadGateway(
  io: Io,
  api: ApiPlace,
  isThere: (status: Status) => boolean,
): Promise<boolean> {
  try {
    if (isThere(await apiGet<Status>(api, '/v1/status'))) return true
    await apiPost(api, '/v1/reload', {})
  } catch (err) {
    if (err instanceof GatewayDownError) return false
    throw err
  }
  await withProgress(io, 'waiting for the gateway to start over', untilThere(api, isThere))
  return true
}

async function untilThere(api: ApiPlace, isThere: (status: Status) => boolean): Promise<void> {
  const deadline = performance.now() + RELOAD_MS
  for (;;) {
    const status = await apiGet<Status>(api, '/v1/status').catch(() => undefined)
    if (status !== undefined && isThere(status)) return
    if (performance.now() > deadline) {
      throw new CliError(
        'the gateway did not come back with the new configuration within 30 s',
        `its log says why: ${itsLog()}; then ${howToRestart(api.config)}`,
      )
    }
    await pause(100)
  }
}

/**
 * Restarts the gateway within its process, for changes that its status does not show.
 * @returns its process; undefined when none runs
 */
export async function restartGateway(io: Io, api: ApiPlace): Promise<number | undefined> {
  let asked = performance.now()
  const isNew = ({ uptimeMs }: Status): boolean => uptimeMs < performance.now() - asked
  try {
    const { pid } = await apiGet<Status>(api, '/v1/status')
    asked = performance.now()
    await apiPost(api, '/v1/reload', {})
    await withProgress(io, 'waiting for the gateway to start over', untilThere(api, isNew))
    return pid
  } catch (err) {
    if (err instanceof GatewayDownError) return undefined
    throw err
  }
}
