/** The tunnel's device: opens it, and opens it again when it was lost. The tunnel itself never ends. */

import { Errno } from 'netlink-ts/errors.ts'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Tun } from '../../kernel/tun.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { PacketSink } from './tunnel/outbound.ts'

/** The one device of a host for packets to and from other hosts. */
export const TUN_IFNAME = 'flatnet-gw'

export interface DeviceDeps {
  /** @throws {FlatnetError} ERR_FLATNET_NOT_READY: there is none to be had, and why */
  open(): Tun
  /** It is there, for the first time or again. */
  opened(tun: Tun): void
  readonly scheduler: Scheduler
  readonly log: Log
}

/** A person may have deleted the device, or another gateway may still hold it; either is mended soon. */
const AGAIN_MS: Millis = 2_000
/** What a write answers without a device; counted by the tunnel as refused. */

export class DeviceSlot {
  readonly #deps: DeviceDeps
  #tun: Tun | undefined
  #sink: PacketSink | undefined
  #wantsUso = true
  #why = 'the tunnel is not open yet'
  #cancel: (() => void) | undefined
  #isClosed = false

  constructor(deps: DeviceDeps) {
    this.#deps = deps
  }

  /** Why there is none, in words for a person; undefined while there is one. */
  get why(): string | undefined {
    return this.#tun === undefined ? this.#why : undefined
  }

  get tun(): Tun | undefined {
    return this.#tun
  }

  start(sink: PacketSink): void {
    this.#sink = sink
    this.#open()
  }

  read(buf: Uint8Array): number {
    return this.#tun?.read(buf) ?? -Errno.EIO
  }

  write(buf: Uint8Array): number {
    return this.#tun?.write(buf) ?? -Errno.EIO
  }

  requestUso(want: boolean): void {
    this.#wantsUso = want
    try {
      this.#tun?.requestUso(want)
    } catch (err) {
      // It was deleted a moment ago, and reading will say so. A link that comes or goes asks for this.
      this.#deps.log.debug({ err }, 'tunnel device took no setting')
    }
  }

  /** The device stays, with its routes, for the next run. */
  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#tun?.close()
    this.#tun = undefined
  }

  #open(): void {
    const sink = this.#sink
    if (sink === undefined || this.#isClosed) return
    let tun: Tun | undefined
    try {
      tun = this.#deps.open()
      tun.requestUso(this.#wantsUso)
      tun.start({
        buffer: () => sink.buffer(),
        packet: (length) => sink.packet(length),
        failed: (err) => this.#lost(err),
      })
      this.#tun = tun
      this.#deps.log.info({ ifname: tun.ifname }, 'tunnel device opened')
      this.#deps.opened(tun)
    } catch (err) {
      // One that is half there would keep the next try from having it.
      tun?.close()
      this.#tun = undefined
      this.#fail(err)
    }
  }

  /** Said once for each reason: it is tried again for as long as the gateway runs. */
  #fail(err: unknown): void {
    const why = err instanceof Error ? err.message : String(err)
    if (why !== this.#why) this.#deps.log.warn({ err }, 'tunnel device could not be had')
    this.#why = why
    this.#again()
  }

  #lost(err: Error): void {
    if (this.#tun === undefined) return
    this.#tun = undefined
    this.#why = err.message
    if (this.#isClosed) return
    this.#deps.log.warn({ err }, 'tunnel device was lost')
    this.#again()
  }

  #again(): void {
    this.#cancel = this.#deps.scheduler.after(AGAIN_MS, () => this.#open())
  }
}
