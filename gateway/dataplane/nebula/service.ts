/** Nebula on this host: its process, its device, what the kernel lets through it, and the ways that were proven. */

import { randomBytes } from 'node:crypto'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { DaemonConf } from '../../../conf/daemon.ts'
import { formatIpv4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { ensureCarrier } from '../../../kernel/carriers.ts'
import { barriersEnsure, CARRIER_METRIC } from '../../../kernel/peer-routes.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Slices } from '../../registry/slices.ts'
import { DirectRoutes } from '../p2p/process/routes.ts'
import { Credentials } from './credentials.ts'
import { NebulaDevice } from './device.ts'
import { launchNebula, writeRecord } from './launch.ts'
import { cleanUp } from './leftover.ts'
import { NEBULA_IFNAME, nebulaAddress, nebulaFiles, nebulaFolder } from './overlay.ts'
import { NebulaPlane, type PlaneEvents } from './plane.ts'
import { findVersion, prepareConfig } from './prepare.ts'
import { NebulaProcess } from './process.ts'
import { type NebulaPlan, renderNebula } from './render.ts'
import { type LighthouseStatus, NebulaReports } from './reports.ts'
import type { NebulaVersion } from './version.ts'

export interface NebulaServiceDeps {
  readonly conf: DaemonConf
  readonly slices: Slices
  readonly scheduler: Scheduler
  readonly log: Log
  readonly events: PlaneEvents
  /** The other members, in order of hostId. */
  peers(): NebulaPlan['peers']
}

/** As `GET /v1/status` shows it. */
export interface NebulaStatus {
  readonly device: string
  /** null: not found out yet, or a service of its own runs Nebula. */
  readonly version: string | null
  /** null: it does not run, or a service of its own runs it. */
  readonly pid: number | null
  /** Why packets do not go by it, in words; null: they can. */
  readonly problem: string | null
  /** When the first of its certificates expires, ISO 8601; null: not known. */
  readonly validTo: string | null
  /** Other than this host; empty too where a service of its own runs Nebula. */
  readonly lighthouses: readonly LighthouseStatus[]
  /** What Nebula complained of within the last two minutes, in words; null: of nothing. */
  readonly complaint: string | null
}

/** Members come and go, and so do their addresses: Nebula 1.6 learns of both by a start, which takes a second. */
const LOOK_MS: Millis = 5_000
const LEAST_LIFE_MS: Millis = 10_000

const NOT_ADMITTED = 'nebula device could not be admitted'

export class NebulaService {
  readonly plane: NebulaPlane
  readonly #deps: NebulaServiceDeps
  readonly #device: NebulaDevice
  readonly #process: NebulaProcess | undefined
  readonly #routes: DirectRoutes
  readonly #credentials: Credentials
  readonly #reports: NebulaReports
  #version: NebulaVersion | undefined
  /** What Nebula was started with. */
  #text = ''
  #startedAt: Millis = 0
  /** The members with which the configuration was found to be right. */
  #seen = ''
  #hasToldExpiry = false
  #problem: string | undefined
  #cancel: (() => void) | undefined

  constructor(deps: NebulaServiceDeps) {
    const { conf, log, scheduler, slices } = deps
    this.#deps = deps
    const address = conf.slice.base + 1
    const { hostId, hostPrefix, paths, supernet } = conf
    const { network } = paths.nebula
    this.#credentials = new Credentials(this.#files, { hostId, hostPrefix, network, supernet }, scheduler)
    this.#reports = new NebulaReports({ scheduler, log, hostId, nebula: paths.nebula })
    this.#routes = new DirectRoutes({
      supernet: conf.supernet,
      hostPrefix: conf.hostPrefix,
      src: address,
      metric: CARRIER_METRIC,
      ifindex: () => this.#device.ifindex,
      configure() {},
      log,
    })
    this.plane = new NebulaPlane(
      {
        hostId: conf.hostId,
        scheduler,
        log,
        mtu: conf.paths.nebula.mtu,
        routes: this.#routes,
        randomToken: () => randomBytes(4).readUInt32BE(),
        carried: () => this.#device.carried(),
      },
      deps.events,
    )
    this.#device = new NebulaDevice({
      ifname: this.#ifname,
      absence: this.#absence,
      address,
      slices,
      scheduler,
      log,
      opened: (socket) => {
        this.#admit(socket.port)
        this.#routes.ensure()
        this.plane.opened(socket, this.#ifname)
      },
      closed: (problem) => {
        const wasOpen = this.plane.port !== 0
        this.plane.closed(problem)
        if (wasOpen) this.#tell(() => ensureCarrier(undefined), NOT_ADMITTED)
      },
      looked: () => this.#admit(this.plane.port),
      received: (hostId, datagram) => this.plane.received(hostId, datagram),
    })
    this.#process = conf.paths.nebula.device === undefined ? this.#makeProcess() : undefined
  }

  /** Of this host inside Nebula, with the port that peers probe; undefined: there is no device. */
  get ownAddress(): string | undefined {
    const { conf } = this.#deps
    const { port } = this.plane
    const address = this.#device.ipv4 ?? nebulaAddress(conf.paths.nebula.network, conf.hostId)
    return port === 0 ? undefined : `${formatIpv4(address)}:${port}`
  }

  /** Why no peer can be reached, in words; undefined: peers can. */
  get problem(): string | undefined {
    return this.#process?.problem ?? this.plane.problem
  }

  get status(): NebulaStatus {
    const { validTo } = this.#credentials
    return {
      device: this.#ifname,
      version: this.#version?.text ?? null,
      pid: this.#process?.pid ?? null,
      problem: this.problem ?? this.#problem ?? null,
      validTo: validTo === undefined ? null : new Date(validTo).toISOString(),
      lighthouses: this.#process === undefined ? [] : this.#reports.lighthouses,
      complaint: this.#reports.complaint ?? null,
    }
  }

  async start(): Promise<void> {
    const { log, scheduler } = this.#deps
    const { process: record } = this.#files
    await cleanUp(record, log)
    this.#tell(() => writeRecord(record, {}), 'record of nebula could not be written')
    this.#bar()
    this.#device.start()
    this.#process?.start()
    this.#cancel = scheduler.every(LOOK_MS, () => this.#look())
    log.info({ ifname: this.#ifname }, 'nebula is used')
  }

  /** Routes first: packets take the gateway path from then on, and none is lost with the device. */
  async stop(): Promise<void> {
    this.#cancel?.()
    this.plane.stop()
    this.#device.stop()
    await this.#process?.stop()
    await cleanUp(this.#files.process, this.#deps.log)
    this.#routes.close()
  }

  get #ifname(): string {
    return this.#deps.conf.paths.nebula.device ?? NEBULA_IFNAME
  }

  get #absence(): string {
    const { device } = this.#deps.conf.paths.nebula
    return device === undefined
      ? `Nebula has no device ${NEBULA_IFNAME} yet`
      : `there is no device ${device}: start the service that runs Nebula, or correct paths.nebula.device`
  }

  get #files() {
    return nebulaFiles(nebulaFolder(this.#deps.conf.dataDir))
  }

  #makeProcess(): NebulaProcess {
    const { log, scheduler } = this.#deps
    return new NebulaProcess({
      scheduler,
      log,
      prepare: async () => {
        this.#version = await findVersion()
        this.#text = this.#render(this.#version)
        // Before Nebula's own routes: none of them may lead to a host that is kept out.
        this.#bar()
        await this.#credentials.judge()
        await prepareConfig(this.#files, this.#text)
      },
      launch: () => {
        this.#reports.started()
        const launched = launchNebula(this.#files, (line) => this.#reports.said(line))
        this.#startedAt = scheduler.monotonic()
        this.#device.expect()
        return launched
      },
      lastWords: () => this.#reports.complaint,
    })
  }

  #render(version: NebulaVersion): string {
    const { conf, peers } = this.#deps
    const { hostId, hostPrefix, paths, supernet } = conf
    const { folder } = this.#files
    return renderNebula({
      hostId,
      supernet,
      hostPrefix,
      nebula: paths.nebula,
      folder,
      version,
      peers: peers(),
    })
  }

  #look(): void {
    const { log, scheduler } = this.#deps
    this.#bar()
    if (this.#process === undefined) return
    if (this.#process.pid === undefined) {
      if (this.#credentials.hasChanged) this.#process.startNow()
      return
    }
    this.#tellExpiry()
    if (scheduler.monotonic() - this.#startedAt < LEAST_LIFE_MS) return
    if (this.#credentials.hasChanged) log.info({}, 'nebula is started again, as its certificates changed')
    else if (this.#membersChanged())
      log.info({}, 'nebula is started again, as members or their addresses changed')
    else return
    // The routes go before the device does.
    this.plane.closed('it is started again')
    this.#process.restart()
  }

  #membersChanged(): boolean {
    if (this.#version === undefined) return false
    // Rendering for 253 hosts takes milliseconds, and seldom anything has changed.
    const seen = JSON.stringify(this.#deps.peers())
    if (seen === this.#seen) return false
    if (this.#render(this.#version) !== this.#text) return true
    this.#seen = seen
    return false
  }

  /** Tunnels that are up stay so, and no other host begins one. */
  #tellExpiry(): void {
    const { isExpired } = this.#credentials
    if (isExpired && !this.#hasToldExpiry) this.#deps.log.warn({}, 'certificate of nebula has expired')
    this.#hasToldExpiry = isExpired
  }

  /** A ruleset that was loaded anew has no such elements. */
  #admit(port: number): void {
    this.#tell(() => ensureCarrier({ ifname: this.#ifname, port }), NOT_ADMITTED)
  }

  #bar(): void {
    const { peers, slices } = this.#deps
    const barred = peers().map(({ hostId }) => slices.sliceOf(hostId))
    this.#tell(() => {
      using route = NetlinkSocket.open(NETLINK_ROUTE)
      barriersEnsure(route, barred)
    }, 'routes around nebula could not be set')
  }

  /** It is tried every few seconds, so a problem is logged once. */
  #tell(task: () => unknown, what: string): void {
    try {
      task()
      this.#problem = undefined
    } catch (err) {
      const problem = err instanceof Error ? err.message : String(err)
      if (problem !== this.#problem) this.#deps.log.error({ err }, what)
      this.#problem = problem
    }
  }
}
