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
import type { Launched } from './dataplane/p2p/launch.ts'
import type { KeptDnsListeners } from './dns/kept-listeners.ts'
import type { KeptListeners } from './ingress/kept-listeners.ts'
import type { KernelView } from './leases/kernel-view.ts'
import type { Repair } from './leases/reconciler.ts'
import { diskLeases, type LeaseSource } from './leases/source.ts'
import type { KeptLinks } from './mdns/kept-links.ts'

export interface Ready {
  /** undefined when ingress is switched off. The port is the kernel's choice when 0 was configured. */
  readonly ingress: { readonly address: string; readonly port: number } | undefined
}

export interface GatewayOptions {
  /** Its abort is the order to stop; the promise then resolves when all is closed. */
  readonly signal: AbortSignal
  /** Default: pino, as `config.log` says. */
  readonly log?: Log
  readonly clock?: Clock
  /** Called with the live leases after each comparison: the place to put nftables and routes right again. */
  readonly repair?: Repair
  /** Asked every second: whether another program took away what `repair` looks after. */
  readonly isDamaged?: () => boolean
  /** Without it the files alone say which containers live. */
  readonly kernelView?: KernelView
  /** Called once when everything listens. */
  onReady?(ready: Ready): void
  /** Default: the store under `config.dataDir`. */
  readonly leases?: LeaseSource
  /** Shown by `GET /v1/status`. */
  readonly version?: string
  /**
   * What `POST /v1/reload` does: the command that runs the gateway stops it and starts it with the new flatnet.yaml.
   */
  readonly reload?: () => void
  /** Keeps the listeners of ingress over a reload. */
  readonly keptListeners?: KeptListeners
  /** Keeps the sockets for containers' questions over a reload. */
  readonly keptDnsListeners?: KeptDnsListeners
  /** Keeps names on the LAN over a reload. */
  readonly keptLinks?: KeptLinks
  /** Starts the P2P process where none runs; absent: a service manager does. */
  readonly launchP2p?: () => Launched
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
