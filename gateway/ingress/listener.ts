/** Opens the ingress on its configured port, and on stopping lets requests under way end. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Part } from '../base/part.ts'
import { ConnectionLimit } from './connection-limit.ts'
import type { IngressDeps } from './deps.ts'
import { drain } from './drain.ts'
import type { IngressServer } from './fast/server.ts'
import { listen } from './listen.ts'
import { createIngress } from './server.ts'
import type { TlsListener, TlsStatus } from './tls/listener.ts'

export interface ListeningIngress {
  readonly address: string
  readonly port: number
  readonly server: Server
  /** HTTPS; undefined: not configured. */
  tls(): TlsStatus | undefined
}

export class IngressListener implements Part {
  readonly #deps: IngressDeps
  #listening: ListeningIngress | undefined
  #tls: TlsListener | undefined

  constructor(deps: IngressDeps) {
    this.#deps = deps
  }

  /** Undefined: not started, or switched off. The port is the kernel's choice when 0 was configured. */
  get listening(): ListeningIngress | undefined {
    return this.#listening
  }

  /** @throws {FlatnetError} ERR_FLATNET_IO: it cannot listen there; the message has the way out */
  async start(): Promise<void> {
    const { conf, log } = this.#deps
    if (!conf.ingress.enabled) return
    const limit = new ConnectionLimit(this.#deps)
    const server = createIngress(this.#deps, limit)
    await listen(server, conf.ingress, { key: 'ingress.listen', keptListeners: this.#deps.keptListeners })
    server.on('error', (err) => log.error({ err }, 'ingress listener failed'))
    await this.#startTls(server, limit)
    const { address, port } = server.address() as AddressInfo
    this.#listening = { address, port, server, tls: () => this.#tls?.status }
  }

  async stop(): Promise<void> {
    const { conf, endless } = this.#deps
    if (this.#listening !== undefined)
      await drain({ server: this.#listening.server, tls: this.#tls, endless, drainMs: conf.ingress.drainMs })
  }

  /** Its code and TLS are loaded only where they are wanted (docs/decisions/0011-memory-of-the-gateway.md). */
  async #startTls(server: IngressServer, limit: ConnectionLimit): Promise<void> {
    const conf = this.#deps.conf.ingress.tls
    if (conf === undefined) return
    const { TlsListener } = await import('./tls/listener.ts')
    const tls = new TlsListener({ deps: this.#deps, conf, limit, server })
    this.#tls = tls
    await tls.start()
    // A browser that is sent to where nothing answers has no way back.
    if (conf.redirect) server.redirectPort = () => tls.servingPort
  }
}
