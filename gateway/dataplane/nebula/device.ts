/** Watches for Nebula's device, and opens a socket that sends by it alone while it is there. */

import { createSocket, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { AF_INET, addrList } from 'netlink-ts/route/addr.ts'
import { linkByName } from 'netlink-ts/route/link.ts'
import type { Link } from 'netlink-ts/route/linkmsg.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { formatIpv4, type Ipv4, ipv4FromBytes, parseIpv4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { openDeviceUdp } from '../../../kernel/device-udp.ts'
import { sysctlEnsure } from '../../../kernel/sysctl.ts'
import { literalIpv4 } from '../../base/literal.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Slices } from '../../registry/slices.ts'
import type { ProbeSocket } from './plane.ts'

export interface NebulaDeviceDeps {
  readonly ifname: string
  /** What a person is told while there is no such device. */
  readonly absence: string
  /** This host's bridge address: probes come from it and go to the others', as packets of containers do. */
  readonly address: Ipv4
  readonly slices: Pick<Slices, 'hostOf' | 'sliceOf'>
  readonly scheduler: Scheduler
  readonly log: Log
  opened(socket: ProbeSocket): void
  closed(problem: string): void
  /** While it is there. */
  looked(): void
  received(hostId: number, datagram: Buffer): void
}

/** Nebula has its device 30 ms after its start, on an idle machine. */
const SOON_MS: Millis = 50
const SOON_FOR_MS: Millis = 5_000
const LOOK_MS: Millis = 1_000

export class NebulaDevice {
  readonly #deps: NebulaDeviceDeps
  #ifindex: number | undefined
  #ipv4: Ipv4 | undefined
  #socket: Socket | undefined
  #problem: string | undefined
  #cancel: (() => void) | undefined
  #expectedUntil: Millis = Number.NEGATIVE_INFINITY
  #isStopped = false

  constructor(deps: NebulaDeviceDeps) {
    this.#deps = deps
  }

  get ifindex(): number | undefined {
    return this.#ifindex
  }

  /** Its own address inside Nebula; undefined: there is no device, or it has none. */
  get ipv4(): Ipv4 | undefined {
    return this.#ipv4
  }

  start(): void {
    this.#look()
  }

  /** Nebula was started. */
  expect(): void {
    this.#expectedUntil = this.#deps.scheduler.monotonic() + SOON_FOR_MS
    this.#cancel?.()
    this.#look()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
    this.#lose('the gateway stops')
  }

  /** Packets in both directions since the device was made; undefined: the kernel does not say. */
  carried(): number | undefined {
    try {
      const of = (what: string): number =>
        Number(readFileSync(`/sys/class/net/${this.#deps.ifname}/statistics/${what}`, 'utf8'))
      return of('rx_packets') + of('tx_packets')
    } catch {
      return undefined
    }
  }

  #look(): void {
    if (this.#isStopped) return
    const { ifname, log, scheduler } = this.#deps
    try {
      this.#follow(this.#link())
    } catch (err) {
      // Short of file descriptors or memory, this process knows nothing new of the device.
      log.debug({ err, ifname }, 'nebula device cannot be looked at')
    }
    const isSoon = this.#ifindex === undefined && scheduler.monotonic() < this.#expectedUntil
    this.#cancel = scheduler.after(isSoon ? SOON_MS : LOOK_MS, () => this.#look())
  }

  #follow(link: Link | undefined): void {
    const ifindex = link?.isUp === true ? link.index : undefined
    if (this.#ifindex !== undefined && ifindex !== this.#ifindex) this.#lose(this.#absence(link))
    if (this.#ifindex === undefined && ifindex === undefined) this.#deps.closed(this.#absence(link))
    else if (this.#ifindex === undefined && ifindex !== undefined) this.#open(ifindex)
    else this.#deps.looked()
  }

  #absence(link: Link | undefined): string {
    const { absence, ifname } = this.#deps
    return link === undefined ? absence : `the device ${ifname} is down: ip link set ${ifname} up`
  }

  #link(): Link | undefined {
    using route = NetlinkSocket.open(NETLINK_ROUTE)
    return linkByName(route, this.#deps.ifname)
  }

  #open(ifindex: number): void {
    const { address, ifname, log } = this.#deps
    try {
      // Loose: while the paths of the two directions differ, strict filtering loses every packet.
      sysctlEnsure(`net/ipv4/conf/${ifname}/rp_filter`, '2', ['0'])
      const fd = openDeviceUdp(ifname, formatIpv4(address))
      this.#ifindex = ifindex
      this.#ipv4 = addressOf(ifindex)
      this.#listen(fd)
    } catch (err) {
      const problem = err instanceof Error ? err.message : String(err)
      if (problem !== this.#problem) log.warn({ err, ifname }, 'nebula device cannot be used')
      this.#problem = problem
      this.#lose(problem)
    }
  }

  #listen(fd: number): void {
    const { log, received, slices } = this.#deps
    const socket = createSocket({ type: 'udp4', lookup: literalIpv4 })
    this.#socket = socket
    socket.on('error', (err) => {
      log.debug({ err }, 'probe socket of nebula failed')
      if (this.#socket === socket) this.#lose(err.message)
    })
    socket.on('message', (datagram, { address }) => {
      const ip = parseIpv4(address) ?? 0
      const hostId = slices.hostOf(ip)
      if (hostId !== undefined && ip === this.#bridgeOf(hostId)) received(hostId, datagram)
    })
    socket.bind({ fd }, () => {
      this.#problem = undefined
      if (this.#socket === socket) this.#deps.opened(this.#portOf(socket))
    })
  }

  #portOf(socket: Socket): ProbeSocket {
    return {
      port: socket.address().port,
      send: (datagram, port, hostId) => {
        // A probe that the kernel refuses is one without an answer.
        if (this.#socket === socket && port > 0)
          socket.send(datagram, port, formatIpv4(this.#bridgeOf(hostId)), () => {})
      },
      close() {},
    }
  }

  #bridgeOf(hostId: number): Ipv4 {
    return this.#deps.slices.sliceOf(hostId).base + 1
  }

  #lose(problem: string): void {
    const socket = this.#socket
    // While the index is known, so that routes go that a device which is still there has.
    this.#deps.closed(problem)
    this.#ifindex = undefined
    this.#socket = undefined
    socket?.close()
  }
}

function addressOf(index: number): Ipv4 | undefined {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  const [own] = addrList(route, { index, family: AF_INET })
  return own && ipv4FromBytes(own.address)
}
