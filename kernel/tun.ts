/**
 * The TUN device of the gateway path, opened with virtio headers and segmentation offload.
 *
 * So the kernel reads and writes packets of up to 64 KiB, which this process neither segments nor checksums. The event
 * loop drives it, without a thread.
 */

import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import { ioctl } from 'netlink-ts/libc.ts'
import { dupOnto, ioctlValue, pipeNow, readNow, writeNow } from 'netlink-ts/libc-tun.node.ts'
import type { Ipv4 } from '../core/addr.ts'
import { FlatnetError, hasCode } from '../core/errors.ts'
import { configureTun, deleteTun, isTun } from './tun-link.ts'

/** include/uapi/linux/if_tun.h; `_IOW` and `_IOR` as on x64, arm64, riscv64 and s390x. */
const TUNSETIFF = 0x400454ca
const TUNSETPERSIST = 0x400454cb
const TUNSETOFFLOAD = 0x400454d0
const TUNSETVNETHDRSZ = 0x400454d8
const TUNSETVNETLE = 0x400454dc
const IFF_TUN = 0x0001
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const TUN_F_CSUM = 0x01
const TUN_F_TSO4 = 0x02
const TUN_F_TSO6 = 0x04
const TUN_F_TSO_ECN = 0x08
const TUN_F_USO4 = 0x20
const TUN_F_USO6 = 0x40
const USO = TUN_F_USO4 | TUN_F_USO6
/** struct ifreq: the name, then a union whose first two bytes are the flags. include/uapi/linux/if.h. */
const IFREQ_BYTES = 40
const IFNAMSIZ = 16

const TCP = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6

/**
 * From the best that a kernel may have to none. The two of USO came together in 6.2, and the kernel wants both or
 * neither.
 */
const OFFLOADS = [
  { name: 'tcp+ecn+udp', flags: TCP | TUN_F_TSO_ECN | USO },
  { name: 'tcp+ecn', flags: TCP | TUN_F_TSO_ECN },
  { name: 'tcp', flags: TCP },
  { name: 'checksum', flags: TUN_F_CSUM },
  { name: 'none', flags: 0 },
] as const
export type Offloads = (typeof OFFLOADS)[number]['name']

export interface TunOptions {
  /** At most 15 bytes; `flatnet-gw` (docs/architecture/dataplane.md#device). */
  readonly ifname: string
  /**
   * 68 to 65535. Segmentation makes it matter to all but TCP: that of the containers, so that nothing is cut on the
   * way.
   */
  readonly mtu: number
  /** Of this host, as a /32: the source of its own packets, also before the first container has brought up a bridge. */
  readonly address?: Ipv4
  /** Packets the kernel keeps while this process is busy; of up to 64 KiB each. Default 500, as the kernel's. */
  readonly txQueueLen?: number
  /** The most to ask for; the way around a kernel whose offloads are broken. Default all. */
  readonly offloads?: Offloads
  /** Whether it stays, with its routes, when the process ends. Default true. */
  readonly isPersistent?: boolean
}

/** Who gets the packets. */
export interface TunSink {
  /** Where the next packet is to go; asked once before the first, and then after each call of `packet`. */
  buffer(): Uint8Array
  /** The room asked for last holds a packet of `length` bytes. */
  packet(length: number): void
  /** The device is gone; nothing follows. */
  failed(error: Error): void
}

/** One open TUN device. Reading and writing never block. */
export interface Tun {
  readonly ifname: string
  readonly ifindex: number
  /** What the kernel agreed to. */
  readonly offloads: Offloads
  /**
   * Whether packets of UDP segmentation offload may be written here, which is a matter of the kernel's version (6.2).
   */
  readonly takesUso: boolean
  /**
   * Reads one packet: a virtio header of 10 bytes, then the IP packet. A packet that is longer than `buf` is cut.
   * @returns its bytes, or the negative errno: -11 (EAGAIN) when there is none
   */
  read(buf: Uint8Array): number
  /** Hands the kernel one packet in the same form. @returns bytes taken, or the negative errno */
  write(buf: Uint8Array): number
  /**
   * Reads a packet whenever one is there, from now on, one per turn of the event loop: `sink` reads on with `read` as
   * far as it likes, and what it leaves is announced again.
   */
  start(sink: TunSink): void
  /** Asks for packets of UDP segmentation offload or refuses them: off while a peer's kernel cannot take them. */
  requestUso(want: boolean): void
  /** Lets go of the device, which stays with its routes for the next process. Idempotent. */
  close(): void
}

/** A device that the kernel gave, with its descriptor: for poll(2) and `TunPort`, instead of `start`. */
interface OpenTun extends Tun {
  readonly fd: number
}

/**
 * Opens the device, making it when absent. It is persistent by default: routes over it outlive a restart of the
 * gateway, so that packets of that moment are lost and sent again instead of being answered with "unreachable" or
 * routed elsewhere.
 * @throws {FlatnetError} ERR_FLATNET_NOT_READY with `facts.reason` `absent` (no /dev/net/tun, no driver), `refused` (no
 *   CAP_NET_ADMIN) or `busy` (another process has it): the gateway can do without and use its peers' ingress
 */
export function openTun(options: TunOptions): OpenTun {
  const fd = openDevice()
  try {
    attach(fd, options.ifname)
    ioctl(fd, TUNSETVNETHDRSZ, int(10))
    ioctl(fd, TUNSETVNETLE, int(1))
    ioctlValue(fd, TUNSETPERSIST, (options.isPersistent ?? true) ? 1 : 0)
    const got = agree(fd, options.offloads ?? 'tcp+ecn+udp')
    return new TunDevice(fd, options.ifname, configureTun(options), got)
  } catch (err) {
    closeSync(fd)
    throw err
  }
}

/** As `deleteTun`, unless a process has it open. @returns whether it was deleted */
export function deleteUnusedTun(ifname: string): boolean {
  if (!isTun(ifname)) return false
  try {
    const fd = openDevice()
    try {
      setInterface(fd, ifname)
    } finally {
      closeSync(fd)
    }
  } catch (err) {
    if (err instanceof SyscallError && err.errnoName === 'EBUSY') return false
  }
  return deleteTun(ifname)
}

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)

function openDevice(): number {
  try {
    return openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK)
  } catch (cause) {
    if (hasCode(cause, 'EACCES') || hasCode(cause, 'EPERM'))
      throw unavailable('refused', '/dev/net/tun may not be opened: run the gateway as root', cause)
    throw unavailable(
      'absent',
      'there is no TUN device here: load the kernel module tun, or give this container --device /dev/net/tun',
      cause,
    )
  }
}

const unavailable = (reason: 'absent' | 'refused' | 'busy', message: string, cause: unknown): FlatnetError =>
  new FlatnetError('ERR_FLATNET_NOT_READY', message, { cause, facts: { reason } })

/** Makes the device or takes it over; one that was made with other flags is made anew. */
function attach(fd: number, ifname: string): void {
  try {
    setInterface(fd, ifname)
  } catch (err) {
    if (!(err instanceof SyscallError) || err.errno !== Errno.EINVAL) throw explained(err, ifname)
    if (!deleteTun(ifname))
      throw unavailable('busy', `${ifname} is another kind of interface: rename or delete it`, err)
    setInterface(fd, ifname)
  }
}

function setInterface(fd: number, ifname: string): void {
  const name = Buffer.from(ifname, 'latin1')
  if (name.byteLength === 0 || name.byteLength >= IFNAMSIZ) throw new RangeError(`interface name ${ifname}`)
  const ifreq = Buffer.alloc(IFREQ_BYTES)
  name.copy(ifreq)
  new Uint16Array(ifreq.buffer, ifreq.byteOffset + IFNAMSIZ, 1)[0] = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR
  ioctl(fd, TUNSETIFF, ifreq)
}

function explained(err: unknown, ifname: string): unknown {
  const name = err instanceof SyscallError ? err.errnoName : ''
  if (name === 'EPERM') return unavailable('refused', 'making a TUN device needs CAP_NET_ADMIN', err)
  if (name === 'EBUSY') return unavailable('busy', `${ifname} is in use: another gateway runs here`, err)
  // ENOTTY: something else lies at /dev/net/tun.
  if (name === 'ENODEV' || name === 'ENXIO' || name === 'ENOTTY')
    return unavailable('absent', 'the kernel has no TUN driver', err)
  return err
}

/** Asks for less and less until the kernel agrees. */
function agree(fd: number, most: Offloads): (typeof OFFLOADS)[number] {
  for (const step of OFFLOADS.slice(OFFLOADS.findIndex(({ name }) => name === most))) {
    try {
      ioctlValue(fd, TUNSETOFFLOAD, step.flags)
      return step
    } catch (err) {
      if (!(err instanceof SyscallError) || err.errno !== Errno.EINVAL) throw err
    }
  }
  throw new FlatnetError('ERR_FLATNET_KERNEL', 'TUNSETOFFLOAD refuses even to switch everything off')
}

class TunDevice implements OpenTun {
  readonly ifname: string
  readonly ifindex: number
  readonly offloads: Offloads
  readonly takesUso: boolean
  readonly #flags: number
  #fd: number
  #watcher: Socket | undefined
  #hasUso: boolean

  constructor(fd: number, ifname: string, ifindex: number, got: (typeof OFFLOADS)[number]) {
    this.ifname = ifname
    this.ifindex = ifindex
    this.offloads = got.name
    this.takesUso = (got.flags & USO) !== 0
    this.#hasUso = this.takesUso
    this.#flags = got.flags
    this.#fd = fd
  }

  get fd(): number {
    return this.#fd
  }

  read(buf: Uint8Array): number {
    return readNow(this.#fd, buf)
  }

  write(buf: Uint8Array): number {
    return writeNow(this.#fd, buf)
  }

  start(sink: TunSink): void {
    if (this.#watcher !== undefined) throw new Error(`${this.ifname} has been started`)
    const callback = (length: number): boolean => {
      sink.packet(length)
      return true
    }
    // Node watches pipes and sockets, and takes a TUN device, which is a character device, for a file. So it is given
    // the end of a pipe, and the device takes that descriptor's place before the event loop has looked at it: from then
    // on epoll and read(2) of libuv work on the device, without a thread
    // (docs/decisions/0035-waking-up-on-the-tun-device.md).
    const { readFd, writeFd } = pipeNow()
    const onread = { buffer: () => sink.buffer(), callback }
    this.#watcher = new Socket({ fd: readFd, readable: true, writable: false, onread })
    this.#watcher.once('error', (cause) => this.#lost(sink, cause))
    this.#watcher.once('close', () => this.#lost(sink))
    dupOnto(this.#fd, readFd)
    closeSync(writeFd)
    closeSync(this.#fd)
    this.#fd = readFd
  }

  /** The socket has closed the descriptor: the kernel may reuse its number at once. */
  #lost(sink: TunSink, cause?: Error): void {
    if (this.#fd < 0) return
    this.#fd = -1
    sink.failed(new FlatnetError('ERR_FLATNET_KERNEL', `${this.ifname} is gone`, { cause }))
  }

  requestUso(want: boolean): void {
    if (!this.takesUso || want === this.#hasUso) return
    ioctlValue(this.#fd, TUNSETOFFLOAD, want ? this.#flags : this.#flags & ~USO)
    this.#hasUso = want
  }

  close(): void {
    if (this.#fd < 0) return
    const fd = this.#fd
    this.#fd = -1
    // The socket closes the descriptor that has become its own.
    if (this.#watcher === undefined) closeSync(fd)
    else this.#watcher.destroy()
  }
}
