/**
 * HTTPS: ends TLS and gives the connections to the handlers of plain ones.
 *
 * Nothing that fails here keeps the gateway from starting: `status` says what is wrong.
 */

import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { IngressTlsConf } from '../../../conf/ingress-tls.ts'
import type { Millis } from '../../../core/clock.ts'
import { formatEndpoint } from '../../../core/endpoint.ts'
import { HandshakeGuard } from '../../links/handshake-guard.ts'
import { type ConnectionLimit, REFUSED } from '../connection-limit.ts'
import type { IngressDeps } from '../deps.ts'
import type { IngressServer } from '../fast/server.ts'
import { listen } from '../listen.ts'
import { type Certificate, TLS_OPTIONS } from './certificate.ts'
import { CertificateFileSet } from './certificate-files.ts'
import { choose } from './choice.ts'
import { Http2Sessions } from './http2.ts'
import { InternalCertificates } from './internal-certificates.ts'

/** How long a changed certificate may stay unused. Two `stat` calls for each pair. */
const LOOK_MS: Millis = 2000

export interface TlsStatus {
  readonly address: string
  readonly port: number
  readonly connections: number
  readonly certificates: readonly { readonly names: readonly string[]; readonly validTo: string }[]
  /** What a person has to do; empty: all is well. */
  readonly problems: readonly string[]
}

export interface TlsParts {
  readonly deps: IngressDeps
  readonly conf: IngressTlsConf
  readonly limit: ConnectionLimit
  /** Takes connections that speak HTTP/1.1, and requests of HTTP/2. */
  readonly server: IngressServer
}

export class TlsListener {
  readonly #parts: TlsParts
  readonly #files: CertificateFileSet
  readonly #internal: InternalCertificates | undefined
  readonly #guard = new HandshakeGuard()
  /** By `placeOf`: TLS gives its own socket when the handshake is done. */
  readonly #open = new Map<string, Socket>()
  readonly #http2: Http2Sessions
  readonly #server: Server
  #listenProblem: string | undefined
  #stopLooking: (() => void) | undefined
  #isStopped = false

  constructor(parts: TlsParts) {
    this.#parts = parts
    this.#files = new CertificateFileSet(parts.conf.certificates, parts.deps.log)
    const { browserCertificates } = parts.deps
    this.#internal = parts.conf.isInternal
      ? new InternalCertificates(parts.deps, browserCertificates)
      : undefined
    const { server } = parts
    this.#http2 = new Http2Sessions(parts.deps, {
      request: (req, res) => void server.emit('request', req, res),
      checkContinue: (req, res) => void server.emit('checkContinue', req, res),
    })
    this.#server = this.#makeServer()
  }

  /** What comes from another host is not waited for: the gateway has to start without it. */
  async start(): Promise<void> {
    const { log, scheduler } = this.#parts.deps
    const look = (): void => {
      this.#look().catch((err: unknown) => log.error({ err }, 'certificates could not be looked after'))
    }
    await this.#refreshFiles()
    if (this.#internal?.useKept() === true) this.#useDefault()
    await this.#listen()
    this.#http2.start()
    look()
    this.#stopLooking = scheduler.every(LOOK_MS, look)
  }

  /** Takes no more connections; resolves when the last has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopLooking?.()
    this.#guard.stop()
    this.#http2.close()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  destroy(): void {
    for (const socket of this.#open.values()) socket.destroy()
  }

  /** Of the listener, when a browser that is sent there finds HTTPS. */
  get servingPort(): number | undefined {
    if (!this.#server.listening || this.#default === undefined) return undefined
    return (this.#server.address() as AddressInfo).port
  }

  get status(): TlsStatus {
    const { conf, deps } = this.#parts
    const address = this.#server.listening ? (this.#server.address() as AddressInfo) : undefined
    return {
      address: address?.address ?? conf.host,
      port: address?.port ?? conf.port,
      connections: this.#open.size,
      certificates: this.#certificates.map(({ names, addresses, validTo }) => ({
        names: [...names, ...addresses],
        validTo: new Date(validTo).toISOString(),
      })),
      problems: [
        ...(this.#listenProblem === undefined ? [] : [this.#listenProblem]),
        ...this.#files.problems(deps.scheduler.now()),
        ...(this.#internal?.problems ?? []),
      ],
    }
  }

  get #certificates(): readonly Certificate[] {
    const own = this.#internal?.own
    return own === undefined ? this.#files.certificates : [...this.#files.certificates, own]
  }

  /** Of clients that name no host: they came by an address, and the cluster's certificate has those. */
  get #default(): Certificate | undefined {
    return this.#internal?.own ?? this.#certificates[0]
  }

  async #look(): Promise<void> {
    await this.#refreshFiles()
    if (!this.#server.listening && !this.#isStopped) await this.#listen()
    if ((await this.#internal?.refresh()) === true) this.#useDefault()
  }

  async #refreshFiles(): Promise<void> {
    if (await this.#files.refresh()) this.#useDefault()
  }

  /** Connections that stand keep the certificate that they began with. */
  #useDefault(): void {
    const { pem } = this.#default ?? {}
    if (pem !== undefined) this.#server.setSecureContext({ ...TLS_OPTIONS, ...pem })
  }

  async #listen(): Promise<void> {
    const { conf, deps } = this.#parts
    try {
      await listen(this.#server, conf, {
        key: 'ingress.tls.listen',
        keptListeners: this.#parts.deps.keptListeners,
      })
      this.#listenProblem = undefined
      const { address, port } = this.#server.address() as AddressInfo
      deps.log.info({ endpoint: formatEndpoint(address, port) }, 'tls listener opened')
    } catch (err) {
      const problem = err instanceof Error ? err.message : String(err)
      if (problem !== this.#listenProblem) deps.log.error({ err }, 'tls listener could not be opened')
      this.#listenProblem = problem
    }
  }

  #makeServer(): Server {
    const { ingress } = this.#parts.deps.conf
    const server = createServer({
      ...TLS_OPTIONS,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      // The same bound as for a request's headers, which get it anew after the handshake.
      handshakeTimeout: ingress.headersTimeoutMs,
      ALPNProtocols: ['h2', 'http/1.1'],
      SNICallback: (name, done) => {
        this.#choose(name).then(
          (certificate) => done(null, certificate?.context),
          (err: unknown) => done(err instanceof Error ? err : new Error(String(err))),
        )
      },
    })
    // Node begins the handshake in its own listener: only for connections that the limits let pass.
    const begin = server.listeners('connection') as ((this: Server, socket: Socket) => void)[]
    server.removeAllListeners('connection')
    server.on('connection', (socket: Socket) => {
      if (this.#admit(socket)) for (const listener of begin) listener.call(server, socket)
    })
    server.on('secureConnection', (socket) => this.#enter(socket))
    server.on('tlsClientError', (_err, socket) => {
      this.#count('handshake')
      socket.destroy()
    })
    server.on('error', (err) => this.#parts.deps.log.error({ err }, 'tls listener failed'))
    return server
  }

  async #choose(name: string): Promise<Certificate | undefined> {
    const named = choose(name, this.#certificates) ?? (await this.#internal?.forName(name))
    return named ?? this.#files.certificates[0]
  }

  #admit(socket: Socket): boolean {
    const { limit } = this.#parts
    if (!limit.admit(socket)) return false
    if (!this.#guard.admit(socket)) {
      this.#count('handshakes')
      socket.destroy()
      return false
    }
    const place = placeOf(socket)
    this.#open.set(place, socket)
    socket.on('close', () => this.#open.delete(place))
    limit.wait(socket)
    return true
  }

  #enter(socket: TLSSocket): void {
    this.#guard.done(socket)
    socket.on('error', () => {})
    const { limit } = this.#parts
    const below = this.#open.get(placeOf(socket))
    if (below !== undefined) limit.secured(below, socket)
    if (socket.alpnProtocol === 'h2') {
      this.#http2.enter(socket, limit)
      return
    }
    // A FIN ends the client's requests, not the client, see FastConnection. Before, it ends the handshake.
    socket.allowHalfOpen = true
    this.#parts.server.enter(socket)
  }

  #count(by: string): void {
    this.#parts.deps.metrics.count('flatnet_ingress_connections_refused_total', REFUSED, { by })
  }
}

/** What names a connection to this listener. */
const placeOf = ({ remoteAddress, remotePort, localAddress }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`
