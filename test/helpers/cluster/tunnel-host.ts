/**
 * A program that plays a host's gateway for tests and benchmarks of the tunnel.
 *
 * It has the device, the tunnel, and links by TLS 1.3 with a certificate that all hosts share. Orders come as JSON
 * lines on stdin, answers go out as JSON lines.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { parseIpv4 } from '../../../core/addr.ts'
import { socketPort } from '../../../gateway/dataplane/tunnel/socket-port.ts'
import { Tunnel } from '../../../gateway/dataplane/tunnel/tunnel.ts'
import { openTun } from '../../../kernel/tun.ts'

export interface TunnelHostConf {
  readonly hostId: number
  /** Folder with `cert.pem` and `key.pem`. */
  readonly tls: string
  readonly port: number
  /** Underlay addresses to dial, by hostId. */
  readonly dial: Readonly<Record<number, string>>
  readonly mtu?: number
  readonly ciphers?: string
}

export type TunnelHostOrder =
  | { readonly do: 'stats' | 'quit' }
  /** `detach` closes the data connection, and does not dial again until `attach`. */
  | { readonly do: 'detach' | 'attach'; readonly hostId: number }
  /** `pause` stops reading what the peer sends; `resume` goes on. */
  | { readonly do: 'pause' | 'resume'; readonly hostId: number }
  /** Sends bytes on the data connection, bypassing the tunnel. */
  | { readonly do: 'raw'; readonly hostId: number; readonly hex: string }
  /** Measures round trips on the control connection, one after the other. */
  | { readonly do: 'control'; readonly hostId: number; readonly count: number }

const print = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

class TunnelHost {
  readonly #conf: TunnelHostConf
  readonly #tunnel: Tunnel
  readonly #tls
  readonly #data = new Map<number, TLSSocket>()
  readonly #control = new Map<number, TLSSocket>()
  readonly #detached = new Set<number>()

  constructor(conf: TunnelHostConf) {
    this.#conf = conf
    const device = openTun({ ifname: 'flatnet-gw', mtu: conf.mtu ?? 1500 })
    this.#tunnel = new Tunnel({
      hostId: conf.hostId,
      supernet: { base: parseIpv4('10.100.0.0') ?? 0, prefixLen: 16 },
      hostPrefix: 24,
      device,
    })
    const failed = (error: Error): void => {
      throw error
    }
    const { sink } = this.#tunnel
    device.start({ buffer: () => sink.buffer(), packet: (length) => sink.packet(length), failed })
    const cert = readFileSync(`${conf.tls}/cert.pem`)
    this.#tls = {
      cert,
      ca: cert,
      key: readFileSync(`${conf.tls}/key.pem`),
      minVersion: 'TLSv1.3' as const,
      ...(conf.ciphers !== undefined && { ciphers: conf.ciphers }),
    }
    const server = createServer(
      {
        ...this.#tls,
        requestCert: true,
        // Names host and purpose: `data-2`. Real links read the hostId from the certificate.
        ALPNCallback: ({ protocols }) => protocols[0],
      },
      (socket) => {
        const [kind, hostId] = String(socket.alpnProtocol).split('-')
        this.#up(kind === 'data' ? 'data' : 'control', Number(hostId), socket)
      },
    )
    server.listen(conf.port, () =>
      print({ event: 'listening', offloads: device.offloads, takesUso: device.takesUso }),
    )
    for (const hostId of Object.keys(conf.dial)) this.#dial(Number(hostId))
  }

  #dial(hostId: number): void {
    for (const kind of ['control', 'data'] as const) this.#dialOne(kind, hostId)
  }

  #dialOne(kind: 'control' | 'data', hostId: number): void {
    const socket = connect({
      ...this.#tls,
      host: this.#conf.dial[hostId],
      port: this.#conf.port,
      ALPNProtocols: [`${kind}-${this.#conf.hostId}`],
      checkServerIdentity: () => undefined,
    })
    socket.once('secureConnect', () => this.#up(kind, hostId, socket))
    socket.on('error', () => {})
    socket.once('close', () => {
      if (!this.#detached.has(hostId)) setTimeout(() => this.#dialOne(kind, hostId), 50)
    })
  }

  #up(kind: 'control' | 'data', hostId: number, socket: TLSSocket): void {
    socket.on('error', () => {})
    if (kind === 'control') this.#controlUp(hostId, socket)
    else this.#dataUp(hostId, socket)
  }

  #dataUp(hostId: number, socket: TLSSocket): void {
    this.#data.set(hostId, socket)
    const channel = this.#tunnel.addChannel(hostId, socketPort(socket))
    channel.setPeerAcceptsUso(true)
    channel.use()
    socket.on('data', (chunk: Buffer) => {
      try {
        channel.receive(chunk)
      } catch (error) {
        print({ event: 'broken', hostId, error: error instanceof Error ? error.message : String(error) })
        socket.destroy()
      }
    })
    socket.once('close', () => {
      channel.close()
      if (this.#data.get(hostId) !== socket) return
      this.#data.delete(hostId)
      print({ event: 'down', hostId })
    })
    print({ event: 'up', hostId, cipher: socket.getCipher().name })
  }

  #controlUp(hostId: number, socket: TLSSocket): void {
    socket.setNoDelay(true)
    this.#control.set(hostId, socket)
    // The side that was dialled answers.
    if (this.#conf.dial[hostId] === undefined) socket.on('data', (chunk) => socket.write(chunk))
  }

  async #roundTrips(hostId: number, count: number): Promise<number[]> {
    const socket = this.#control.get(hostId)
    const times: number[] = []
    while (socket !== undefined && times.length < count) {
      const start = performance.now()
      const answered = new Promise((resolve) => socket.once('data', resolve))
      socket.write('x')
      await answered
      times.push(performance.now() - start)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return times
  }

  async order(order: TunnelHostOrder): Promise<void> {
    switch (order.do) {
      case 'stats':
        print({
          event: 'stats',
          ...this.#tunnel.stats(),
          rss: process.memoryUsage.rss(),
          cpu: process.cpuUsage(),
        })
        break
      case 'quit':
        process.exit(0)
        break
      case 'detach':
        this.#detached.add(order.hostId)
        this.#data.get(order.hostId)?.destroy()
        break
      case 'attach':
        this.#detached.delete(order.hostId)
        this.#dialOne('data', order.hostId)
        break
      case 'pause':
        this.#data.get(order.hostId)?.pause()
        break
      case 'resume':
        this.#data.get(order.hostId)?.resume()
        break
      case 'raw':
        this.#data.get(order.hostId)?.write(Buffer.from(order.hex, 'hex'))
        break
      case 'control':
        print({ event: 'control', times: await this.#roundTrips(order.hostId, order.count) })
        break
    }
  }
}

if (process.argv[1] === import.meta.filename) {
  const host = new TunnelHost(JSON.parse(process.argv[2] ?? '{}'))
  createInterface({ input: process.stdin })
    .on('line', (line) => void host.order(JSON.parse(line)))
    .on('close', () => process.exit(0))
}
