/** The TUN device of direct paths: made anew when it was deleted, under the same descriptor. */
import { closeSync } from 'node:fs'
import { dupOnto } from 'netlink-ts/libc-tun.node.ts'
import type { Millis } from '../../../../core/clock.ts'
import { FlatnetError } from '../../../../core/errors.ts'
import type { Log } from '../../../../core/log.ts'

export const DIRECT_IFNAME = 'flatnet-p2p'

/** What `openTun` gives; the tests have one of their own. */
interface OpenDevice {
  readonly fd: number
  readonly ifindex: number
  readonly takesUso: boolean
}

export interface DirectDeviceDeps {
  /** @throws {FlatnetError} ERR_FLATNET_NOT_READY: there is none to be had, and why */
  open(): OpenDevice
  now(): Millis
  readonly log: Log
  /** It is there, gone, or its problem is another one. */
  changed(): void
}

/** A person who deleted it by mistake should not wait. */
const AGAIN_MS: Millis = 1_000

export class DirectDevice {
  readonly #deps: DirectDeviceDeps
  #fd: number | undefined
  #ifindex: number | undefined
  #hasUso = false
  #problem: string | undefined
  #tryAt: Millis

  /** @throws {FlatnetError} another process has the device: it does this host's direct paths already */
  constructor(deps: DirectDeviceDeps) {
    this.#deps = deps
    this.#tryAt = deps.now()
    this.tick((err) => {
      if (err instanceof FlatnetError && err.facts['reason'] === 'busy') throw err
    })
  }

  /** The same for the life of the process, once there was a device: the plane has it. */
  get fd(): number | undefined {
    return this.#fd
  }

  /** Undefined while there is none. */
  get ifindex(): number | undefined {
    return this.#ifindex
  }

  /** Whether packets of UDP segmentation offload may be written there (kernel 6.2). */
  get hasUso(): boolean {
    return this.#hasUso
  }

  /** Why there is none, in words for a person. */
  get problem(): string | undefined {
    return this.#problem
  }

  get nextAt(): Millis {
    return this.#ifindex === undefined ? this.#tryAt : Number.POSITIVE_INFINITY
  }

  /** @param failed hears of each failure first */
  tick(failed: (err: unknown) => void = () => {}): void {
    if (this.#deps.now() < this.nextAt) return
    this.#tryAt = this.#deps.now() + AGAIN_MS
    try {
      this.#take(this.#deps.open())
    } catch (err) {
      failed(err)
      const problem = err instanceof Error ? err.message : String(err)
      if (problem === this.#problem) return
      this.#problem = problem
      this.#deps.log.warn({ ifname: DIRECT_IFNAME, err }, 'device of direct paths could not be had')
      this.#deps.changed()
    }
  }

  /** Someone deleted it; the kernel took its routes. */
  lost(): void {
    if (this.#ifindex === undefined) return
    this.#ifindex = undefined
    this.#tryAt = this.#deps.now()
    this.#problem = `${DIRECT_IFNAME} was deleted`
    this.#deps.log.warn({ ifname: DIRECT_IFNAME }, 'device of direct paths was lost')
    this.#deps.changed()
  }

  /** Closing it deletes it. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#ifindex = undefined
  }

  #take({ fd, ifindex, takesUso }: OpenDevice): void {
    if (this.#fd === undefined) this.#fd = fd
    else {
      // The plane and the kernel's poll know a number, which becomes that of the new device in one step.
      dupOnto(fd, this.#fd)
      closeSync(fd)
    }
    this.#ifindex = ifindex
    this.#hasUso = takesUso
    this.#problem = undefined
    this.#deps.log.info({ ifname: DIRECT_IFNAME }, 'device of direct paths was opened')
    this.#deps.changed()
  }
}
