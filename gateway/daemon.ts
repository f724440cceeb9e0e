/** The gateway's life: claim, read the leases, open the doors, and on the signal close them in order. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DaemonConf } from '../conf/daemon.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { FlatnetError, hasCode } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { createApi } from './api/server.ts'
import { ApiSocket, refuseSecondGateway } from './api/socket.ts'
import { type Assembly, assemble } from './assemble.ts'
import { nextEpoch } from './base/epoch.ts'
import { openLog } from './base/log.ts'
import { ClusterFiles } from './cluster/identity/files.ts'
import { removeDataPlane } from './dataplane/remove.ts'
import { drain } from './ingress/drain.ts'
import { createIngress } from './ingress/server.ts'
import type { KernelView } from './leases/kernel-view.ts'
import type { Repair } from './leases/reconciler.ts'
import { diskLeases, type LeaseSource } from './leases/source.ts'
import { StoreWatch } from './leases/watch.ts'
import { loadTables } from './replication/table-files.ts'

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
  /** Asked every second: did somebody take away what `repair` looks after? */
  readonly isDamaged?: () => boolean
  /** Without it the files alone say who lives. */
  readonly kernelView?: KernelView
  /** Called once when everything listens. */
  onReady?(ready: Ready): void
  /** Default: the store under `config.dataDir`. */
  readonly leases?: LeaseSource
  /** Shown by `GET /v1/status`. */
  readonly version?: string
  /** What `POST /v1/reload` does; whoever runs the gateway ends it and runs it again with what flatnet.yaml says now. */
  readonly reload?: () => void
}

/**
 * @throws {FlatnetError} ERR_FLATNET_IO: another gateway is there, or the ingress port is taken; the message has the way out
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

/** What is opened is closed in reverse order, also when a later step fails. */
async function live(conf: DaemonConf, options: GatewayOptions, log: Log): Promise<void> {
  const { signal, clock = systemClock, leases = diskLeases(conf.dataDir) } = options
  await refuseSecondGateway(conf.api.socket)
  await using opened = new AsyncDisposableStack()
  const parts = assemble({ ...options, conf, log, clock, leases, epoch: nextEpoch(conf.dataDir, clock) })
  opened.defer(() => parts.close())
  const watch = new StoreWatch(conf.dataDir, () => void parts.reconciler.run())
  opened.defer(() => watch.close())
  // Watched before they are read, so that no change falls between.
  await watch.refresh()
  await parts.reconciler.run()
  if (signal.aborted) return
  const stored = await loadTables(conf.dataDir, (endpoint, err) =>
    log.warn({ endpoint, err }, 'table of a host could not be read'),
  )
  const isMember =
    new ClusterFiles(conf.dataDir).isComplete &&
    (await (
      await import('./member.ts')
    ).openMember(parts, opened, { clock, stored, version: options.version }))
  if (!isMember) removeDataPlane(conf.supernet, log)
  let drained: Promise<void> | undefined
  opened.defer(() => drained)
  const ingress = conf.ingress.enabled ? await openIngress(parts, opened) : undefined
  const socket = new ApiSocket(conf.api, () => createApi(parts), log)
  await socket.open()
  opened.defer(() => socket.close())
  opened.defer(() => parts.streams.close())
  const round = setInterval(() => {
    void watch.refresh().catch((err: unknown) => log.warn({ err }, 'store could not be watched'))
    void parts.reconciler.run()
    void socket.ensure()
  }, conf.reconcileMs)
  opened.defer(() => clearInterval(round))
  if (options.isDamaged !== undefined) opened.use(lookout(options.isDamaged, parts))
  // First of all, so that relayed pairs move, and others' streams end, while requests in flight do.
  opened.defer(() => {
    drained = parts.drainTransit()
  })
  log.info(
    { endpoint: ingress === undefined ? undefined : `${ingress.address}:${ingress.port}` },
    'gateway started',
  )
  options.onReady?.({ ingress })
  if (!signal.aborted) await once(signal, 'abort')
  log.info({}, 'gateway stopping')
}

/** A firewall that starts anew flushes everybody's rules; half a minute without published ports is long. */
const LOOKOUT_MS = 1_000

function lookout(isDamaged: () => boolean, { reconciler, log }: Assembly): Disposable {
  // What a run could not mend is for the rounds: it would be tried, and told, every second.
  let isHopeless = false
  const look = async (): Promise<void> => {
    if (!isDamaged()) isHopeless = false
    else if (!isHopeless) {
      isHopeless = true
      await reconciler.run()
      isHopeless = isDamaged()
    }
  }
  const complain = (err: unknown): void => {
    if (!isHopeless) log.warn({ err }, 'the kernel did not tell its rules')
    isHopeless = true
  }
  const timer = setInterval(() => void look().catch(complain), LOOKOUT_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

async function openIngress(
  parts: Assembly,
  opened: AsyncDisposableStack,
): Promise<{ address: string; port: number }> {
  const { ingress } = parts.conf
  const server = createIngress(parts)
  await listen(server, ingress.host, ingress.port)
  server.on('error', (err) => parts.log.error({ err }, 'ingress listener failed'))
  opened.defer(() => drain(server, parts.endless, ingress.drainMs))
  const { address, port } = server.address() as AddressInfo
  parts.setIngress({ address, port, server })
  return { address, port }
}

const WAYS_OUT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something else listens there: stop it, or set ingress.listen to another port',
  EACCES: 'ports below 1024 need root or CAP_NET_BIND_SERVICE: set ingress.listen to a higher port',
  EADDRNOTAVAIL: 'this host has no such address: set ingress.listen to one that it has, or to 0.0.0.0',
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const [, wayOut = 'see the cause'] = Object.entries(WAYS_OUT).find(([code]) => hasCode(cause, code)) ?? []
    const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    throw new FlatnetError('ERR_FLATNET_IO', `cannot listen on ${where}: ${wayOut}`, { cause })
  }
}
