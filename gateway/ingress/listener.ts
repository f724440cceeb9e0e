/** Opens the ingress on its configured port, and on stopping lets requests under way end. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import type { Part } from '../base/part.ts'
import type { IngressDeps } from './deps.ts'
import { drain } from './drain.ts'
import { createIngress } from './server.ts'

export interface ListeningIngress {
  readonly address: string
  readonly port: number
  readonly server: Server
}

const WAYS_OUT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something else listens there: stop it, or set ingress.listen to another port',
  EACCES: 'ports below 1024 need root or CAP_NET_BIND_SERVICE: set ingress.listen to a higher port',
  EADDRNOTAVAIL: 'this host has no such address: set ingress.listen to one that it has, or to 0.0.0.0',
}

export class IngressListener implements Part {
  readonly #deps: IngressDeps
  #listening: ListeningIngress | undefined

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
    const server = createIngress(this.#deps)
    await listen(server, conf.ingress.host, conf.ingress.port)
    server.on('error', (err) => log.error({ err }, 'ingress listener failed'))
    const { address, port } = server.address() as AddressInfo
    this.#listening = { address, port, server }
  }

  async stop(): Promise<void> {
    const { conf, endless } = this.#deps
    if (this.#listening !== undefined) await drain(this.#listening.server, endless, conf.ingress.drainMs)
  }
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
