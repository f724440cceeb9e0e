/** The gateway's life: claims its place, starts all parts in order, and stops them in reverse. */

import { once } from 'node:events'
import type { DaemonConf } from '../conf/daemon.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { formatEndpoint } from '../core/endpoint.ts'
import type { Log } from '../core/log.ts'
import { closeStores } from '../ipam/networks.ts'
import { refuseSecondGateway } from './api/socket.ts'
import { nextEpoch } from './base/epoch.ts'
import { openLog } from './base/log.ts'
import type { Part } from './base/part.ts'
import { compose } from './compose.ts'
import type { GivenByCommand } from './compose-base.ts'
import { diskLeases, type LeaseSource } from './leases/source.ts'

export interface Ready {
  /** undefined when ingress is switched off. The port is the kernel's choice when 0 was configured. */
  readonly ingress: { readonly address: string; readonly port: number } | undefined
}

export interface GatewayOptions extends GivenByCommand {
  /** Its abort is the order to stop; the promise then resolves when all is closed. */
  readonly signal: AbortSignal
  /** Default: pino, as `config.log` says. */
  readonly log?: Log
  readonly clock?: Clock
  /** Called once when everything listens. */
  onReady?(ready: Ready): void
  /** Default: the store under `config.dataDir`. */
  readonly leases?: LeaseSource
}

/**
 * Runs a gateway until the signal.
 * @throws {FlatnetError} ERR_FLATNET_IO: another gateway is there, or the ingress port is taken; the message says
 *   what to do
 */
export async function runGateway(config: DaemonConf, options: GatewayOptions): Promise<void> {
  if (options.log !== undefined) return live(config, options, options.log)
  const { log, close } = openLog(config.log)
  try {
    return await live(config, options, log)
  } catch (err) {
    log.error({ err }, 'gateway failed')
    throw err
  } finally {
    close()
  }
}

/** What was begun is stopped in reverse order, also when a later step fails. */
async function live(conf: DaemonConf, options: GatewayOptions, log: Log): Promise<void> {
  const { signal, clock = systemClock, leases = diskLeases(conf.dataDir) } = options
  await refuseSecondGateway(conf.api.socket)
  closeStores(conf.dataDir)
  await using begun = new AsyncDisposableStack()
  const gateway = await compose({
    ...options,
    conf,
    log,
    clock,
    leases,
    epoch: nextEpoch(conf.dataDir, clock),
  })
  begun.defer(() => gateway.close())
  await start(gateway.parts, begun, signal)
  let drained: Promise<void> | undefined
  begun.defer(() => drained)
  await start(gateway.listeners, begun, signal)
  if (signal.aborted) return
  // Before all else, so that relayed pairs move, and others' streams end, while requests in flight do.
  begun.defer(() => {
    drained = gateway.drainTransit()
  })
  options.keptListeners?.started()
  const ingress = gateway.ingressListener.listening
  log.info(
    { endpoint: ingress === undefined ? undefined : formatEndpoint(ingress.address, ingress.port) },
    'gateway started',
  )
  options.onReady?.({ ingress })
  if (!signal.aborted) await once(signal, 'abort')
  log.info({}, 'gateway stopping')
}

async function start(
  parts: readonly Part[],
  begun: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<void> {
  for (const part of parts) {
    if (signal.aborted) return
    begun.defer(() => part.stop())
    await part.start()
  }
}
