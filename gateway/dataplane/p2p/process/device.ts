/** Owns the TUN device of direct paths, and makes it again under the same descriptor after a deletion. */
import { closeSync } from 'node:fs'
import { dupOnto } from 'netlink-ts/libc-tun.node.ts'
import type { Millis } from '../../../../core/clock.ts'
import { FlatnetError } from '../../../../core/errors.ts'
import type { Log } from '../../../../core/log.ts'

export const DIRECT_IFNAME = 'flatnet-p2p'

/** What `openTun` returns. Tests pass their own. */
interface OpenDevice {
  readonly fd: number
  readonly ifindex: number
  readonly takesUso: boolean
}

export interface DirectDeviceDeps {
  /** @throws {FlatnetError} ERR_FLATNET_NOT_READY: no device can be made, and why */
  open(): OpenDevice
  now(): Millis
  readonly log: Log
  /** The device came or went, or its problem changed. */
  changed(): void
}

/** Short, for people who deleted it by mistake. */
const AGAIN_MS: Millis = 1_000

export class DirectDevice {
  readonly #deps: DirectDeviceDeps
  #fd: number | undefined
  #ifindex: number | undefined
  #hasUso = false
  #problem: string | undefined
  #tryAt: Millis

  /** @throws {FlatnetError} another process has the device, and so already runs this host's direct paths */
  constructor(deps: DirectDeviceDeps) {
    this.#deps = deps
    this.#tryAt = deps.now()
    this.tick((err) => {
      if (err instanceof FlatnetError && err.facts['reason'] === 'busy') throw err
    })
  }

  /** Stays the same for the life of the process once a device was opened: the plane keeps it. */
  get fd(): number | undefined {
    return this.#fd
  }

  /** Undefined while there is no device. */
  get ifindex(): number | undefined {
    return this.#ifindex
  }

  /** Whether packets of UDP segmentation offload may be written there (kernel 6.2). */
  get hasUso(): boolean {
    return this.#hasUso
  }

  /** Why there is no device, in words for a person. */
  get problem(): string | undefined {
    return this.#problem
  }

  get nextAt(): Millis {
    return this.#ifindex === undefined ? this.#tryAt : Number.POSITIVE_INFINITY
  }

  /** @param failed called for each failure before anything else */
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

  /** Another program deleted the device, and the kernel its routes. */
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
      // The plane and the poll set know the old number: dup2 gives it to the new device in one step.
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
