/** Wires the parts of the process of direct paths together. */
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { DaemonConf } from '../../../../conf/daemon.ts'
import type { Clock, Millis } from '../../../../core/clock.ts'
import { formatEndpoint } from '../../../../core/endpoint.ts'
import type { Log } from '../../../../core/log.ts'
import { Poller } from '../../../../kernel/poller.ts'
import { openTun } from '../../../../kernel/tun.ts'
import { configureTun } from '../../../../kernel/tun-link.ts'
import { UnixListener } from '../../../../kernel/unix-listener.ts'
import { uplinkMtu } from '../../../../kernel/uplink.ts'
import { type FromProcess, P2P_PROTOCOL, type ToProcess } from '../protocol.ts'
import { CandidateGatherer } from './candidate-gatherer.ts'
import { ControlServer } from './control-server.ts'
import { DIRECT_IFNAME, DirectDevice } from './device.ts'
import { gatewayLog } from './gateway-log.ts'
import { PLACES } from './loop.ts'
import { PlaneSlot } from './plane-slot.ts'
import { DirectRoutes } from './routes.ts'
import { Sessions } from './sessions.ts'
import { SleepWatch } from './sleep-watch.ts'
import { UnderlayWatch } from './underlay-watch.ts'

export interface P2pOptions {
  readonly conf: Pick<DaemonConf, 'hostId' | 'supernet' | 'hostPrefix' | 'slice' | 'api' | 'p2p'>
  readonly version: string
  readonly log: Log
  readonly clock?: Clock
  /** Tests wait less than 120 s. */
  readonly rekeyEveryMs?: Millis
}

/** The loop asks ten times for each packet: 150 ns, by `process.uptime` 320. */
const loopClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

/** Other programs delete routes that they do not know, and netlink may lose the message that says so. */
const ROUTES_MS: Millis = 5_000
/** Keeps this process from fighting in a loop with a program that deletes the route. */
const PUT_BACK_MS: Millis = 200
/** Where a gateway with the same configuration finds the process. */
const controlSocket = (apiSocket: string): string => join(dirname(apiSocket), 'p2p.sock')

export class P2pProcess {
  readonly clock: Clock
  readonly log: Log
  readonly device: DirectDevice
  readonly slot: PlaneSlot
  readonly routes: DirectRoutes
  readonly sessions: Sessions
  readonly gatherer: CandidateGatherer
  readonly watch: UnderlayWatch
  readonly server: ControlServer
  readonly poller: Poller
  /** Whether it has said goodbye. */
  isLeaving = false
  readonly #options: P2pOptions
  #routesAt: Millis
  #putBackAt: Millis = 0
  readonly #sleep: SleepWatch
  #stopReason: string | undefined

  /** @throws {FlatnetError} another process runs this host's direct paths; the socket's folder is missing */
  constructor(options: P2pOptions) {
    this.#options = options
    this.clock = options.clock ?? loopClock
    this.log = gatewayLog(options.log, () => this.server)
    this.#routesAt = this.#now() + ROUTES_MS
    this.#sleep = new SleepWatch(this.clock)
    this.device = this.#openDevice()
    this.watch = this.#openWatch()
    this.routes = this.#openRoutes()
    this.slot = this.#openSlot()
    this.gatherer = this.#openGatherer()
    this.sessions = this.#openSessions()
    this.poller = new Poller(this.slot.arena, PLACES)
    this.server = this.#openServer()
  }

  /** The gateway said `stop`. */
  get stopReason(): string | undefined {
    return this.#stopReason
  }

  /** When `tick` has something to do. */
  get nextAt(): Millis {
    return Math.min(
      this.#routesAt,
      this.device.nextAt,
      this.slot.nextAt,
      this.watch.nextAt,
      this.sessions.nextAt,
      this.gatherer.nextAt,
    )
  }

  tick(): void {
    const now = this.#now()
    const sleptMs = this.#sleep.look(now)
    if (sleptMs !== undefined) this.sessions.late(sleptMs)
    this.device.tick()
    this.slot.tick()
    this.watch.tick()
    if (now >= this.#routesAt) {
      this.#routesAt = now + ROUTES_MS
      if (this.routes.size > 0) this.routes.ensure()
    }
    this.sessions.tick()
    this.gatherer.tick()
  }

  /** Removes the routes and says goodbye to all peers; then the loop has to turn until the sessions are gone. */
  leave(): void {
    this.isLeaving = true
    this.gatherer.release()
    this.sessions.leave()
  }

  close(): void {
    this.sessions.close()
    this.server.close()
    this.watch.close()
    this.slot.close()
    this.device.close()
    this.routes.close()
  }

  #now(): Millis {
    return this.clock.monotonic()
  }

  #link() {
    using route = NetlinkSocket.open(NETLINK_ROUTE)
    // The bridge's address, as on flatnet-gw: it makes the address this host's even before the first container.
    return { ifname: DIRECT_IFNAME, mtu: uplinkMtu(route), address: this.#options.conf.slice.base + 1 }
  }

  #openDevice(): DirectDevice {
    return new DirectDevice({
      open: () => openTun({ ...this.#link(), isPersistent: false }),
      now: () => this.#now(),
      log: this.log,
      changed: () => this.#deviceChanged(),
    })
  }

  /** The device's constructor calls it too, before the other parts exist. */
  #deviceChanged(): void {
    const { problem } = this.device ?? {}
    if (this.device?.ifindex !== undefined) this.slot?.open()
    this.#report({ type: 'device', ifname: DIRECT_IFNAME, ...(problem !== undefined && { problem }) })
  }

  #openWatch(): UnderlayWatch {
    return new UnderlayWatch({
      now: () => this.#now(),
      ifindex: () => this.device.ifindex,
      deviceGone: () => {
        this.device.lost()
        this.routes.forget()
        this.sessions.deviceLost()
      },
      routeGone: () => this.#putBack(),
      networkChanged: (what) => {
        this.log.info({ reason: what }, 'network of this host changed, direct paths were probed anew')
        this.#report({ type: 'networkChanged', what })
        this.sessions.retryAll()
        this.gatherer.networkChanged()
      },
    })
  }

  /** One dump of routes if all is well. This process's own changes cause a dump each as well. */
  #putBack(): void {
    if (this.routes.size === 0) return
    const now = this.#now()
    if (now >= this.#putBackAt) {
      this.#putBackAt = now + PUT_BACK_MS
      this.routes.ensure()
    } else this.#routesAt = Math.min(this.#routesAt, this.#putBackAt)
  }

  #openRoutes(): DirectRoutes {
    const { hostPrefix, slice, supernet } = this.#options.conf
    return new DirectRoutes({
      supernet,
      hostPrefix,
      src: slice.base + 1,
      ifindex: () => this.device.ifindex,
      configure: () => void configureTun(this.#link()),
      log: this.log,
    })
  }

  #openSlot(): PlaneSlot {
    const { hostId, hostPrefix, p2p, supernet } = this.#options.conf
    return new PlaneSlot({
      hostId,
      supernet,
      hostPrefix,
      listen: formatEndpoint(p2p.listen.host, p2p.listen.port),
      events: {
        onControl: (peer, type, payload, from) => this.sessions.onControl(peer, type, payload, from),
        onRoamed: (peer, from) => this.sessions.onRoamed(peer, from),
        onSendError: (peer, errno) => this.sessions.onSendError(peer, errno),
        onForm: (peer) => this.sessions.onForm(peer),
        onKeysConfirmed: (peer) => this.sessions.onKeysConfirmed(peer),
      },
      tunFd: () => (this.device.ifindex === undefined ? undefined : this.device.fd),
      now: () => this.#now(),
      log: this.log,
      heard: (bytes, from) => this.gatherer.heard(bytes, from),
      changed: () => this.#report({ type: 'udp', ...this.#udp() }),
    })
  }

  #openSessions(): Sessions {
    const { conf, rekeyEveryMs } = this.#options
    return new Sessions({
      hostId: conf.hostId,
      cipher: 'aes-256-gcm',
      rekeyEveryMs,
      plane: this.slot,
      readSocket: () => void this.slot.plane?.step(true, false),
      routes: this.routes,
      now: () => this.#now(),
      wallClock: () => this.clock.now(),
      randomToken: () => randomBytes(4).readUInt32BE(),
      isLan: (endpoint) => this.watch.isLan(endpoint),
      canReach: (endpoint) => this.slot.canReach(endpoint),
      relays: this.gatherer,
      ignored: () => ({ strays: this.slot.strays, unaskedStun: this.gatherer.unaskedStun }),
      log: this.log,
      report: (message) => this.#report(message),
    })
  }

  #openGatherer(): CandidateGatherer {
    const { p2p, supernet } = this.#options.conf
    return new CandidateGatherer({
      overlay: supernet,
      listenHost: p2p.listen.host,
      clock: this.clock,
      log: this.log,
      slot: this.slot,
      interfaces: () => this.watch.hosts,
      sessions: () => this.sessions,
      report: (message) => this.#report(message),
    })
  }

  #openServer(): ControlServer {
    const path = controlSocket(this.#options.conf.api.socket)
    return new ControlServer(new UnixListener(path), {
      handle: (message) => this.#handle(message),
      changed: (isConnected) => {
        // This process logs it itself, as no gateway is connected at this moment.
        if (isConnected) this.#options.log.info({}, 'gateway connected to direct paths')
        else this.#options.log.info({}, 'gateway disconnected from direct paths')
        if (!isConnected) this.gatherer.rest()
      },
    })
  }

  #handle(message: ToProcess): void {
    if (message.type === 'hello') this.#hello()
    else if (message.type === 'stop') this.#stopReason = message.reason
    else if (this.gatherer.handle(message)) return
    else if (message.type === 'session' && this.#options.conf.p2p.off.has(message.hostId)) {
      const { attempt, hostId } = message
      this.#report({ type: 'ended', hostId, attempt, reason: `p2p.hosts says off for host ${hostId}` })
    } else this.sessions.handle(message)
  }

  #hello(): void {
    const { problem } = this.device
    const { conf, version } = this.#options
    this.#report({
      type: 'hello',
      protocol: P2P_PROTOCOL,
      version,
      pid: process.pid,
      hostId: conf.hostId,
      device: { ifname: DIRECT_IFNAME, ...(problem !== undefined && { problem }) },
      udp: this.#udp(),
      features: { ...this.slot.features, uso: this.device.hasUso, addresses: true, turn: true },
      sessions: this.sessions.views(),
    })
  }

  #udp(): { port: number; problem?: string } {
    const { port, problem } = this.slot
    return { port, ...(problem !== undefined && { problem }) }
  }

  #report(message: FromProcess): void {
    this.server?.send(message)
  }
}
