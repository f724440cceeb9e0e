/**
 * Carries a netlink socket's bytes to the kernel, and datagrams back.
 *
 * A test puts a fake kernel here.
 */

import { u32 } from './codec.ts'
import { DecodeError, Errno, SyscallError } from './errors.ts'
import {
  close,
  connect,
  getsockname,
  MSG_DONTWAIT,
  MSG_TRUNC,
  SO_RCVTIMEO,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
  send,
  setsockopt,
  setsockoptInt,
  socket,
  tryRecv,
} from './libc.ts'
import { inNetns } from './netns.ts'

const AF_NETLINK = 16
/** include/linux/socket.h and uapi/linux/netlink.h. */
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12

/** One part of a dump is at most 32 KiB, but a link with hundreds of virtual functions takes more. */
const RECV_BYTES = 1 << 17
/** Below the smallest default of net.core.wmem_default, 212992, minus the kernel's overhead. */
const SEND_BYTES = 1 << 17

export interface Transport {
  /** The port id to which the kernel answers. */
  readonly pid: number
  send(bytes: Uint8Array): void
  /**
   * Waits for the next datagram, which the caller may keep.
   * @throws {SyscallError} EAGAIN: none within the time limit; ENOBUFS: messages were lost
   */
  receive(): Uint8Array
  /** `receive` without waiting. @returns undefined: no datagram */
  receiveNow(): Uint8Array | undefined
  close(): void
}

export interface TransportOptions {
  /** Descriptor of the namespace to work in, which needs CAP_SYS_ADMIN; absent: the caller's own. */
  readonly netns?: number | undefined
  /** Limit for each wait; 5000 when absent. */
  readonly timeoutMs?: number | undefined
}

/** `struct timeval` of a 64-bit host. */
function timeval(ms: number): Uint8Array {
  return new Uint8Array(BigInt64Array.of(BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * 1000)).buffer)
}

/** A netlink socket of the kernel. */
export class KernelTransport implements Transport {
  readonly fd: number
  readonly pid: number
  readonly #timeoutMs: number
  readonly #buffer = new Uint8Array(RECV_BYTES)
  #sendLimit = SEND_BYTES
  #closed = false

  /** @throws {SyscallError} `socket` EPROTONOSUPPORT: the kernel has no such protocol */
  constructor(protocol: number, options: TransportOptions = {}) {
    const make = () => socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
    this.fd = options.netns === undefined ? make() : inNetns<number>(options.netns, make)
    // 0 would mean for ever
    this.#timeoutMs = Math.max(1, options.timeoutMs ?? 5000)
    try {
      setsockopt(this.fd, SOL_SOCKET, SO_RCVTIMEO, timeval(this.#timeoutMs))
      for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK])
        setsockoptInt(this.fd, SOL_NETLINK, option, 1)
      // connect() binds to a free port. From then on only the kernel can send here.
      const kernel = new Uint8Array(12)
      kernel.set(new Uint8Array(Uint16Array.of(AF_NETLINK).buffer))
      connect(this.fd, kernel)
      this.pid = u32.decode(getsockname(this.fd), 4, 8)
    } catch (err) {
      close(this.fd)
      throw err
    }
  }

  send(bytes: Uint8Array): void {
    if (bytes.byteLength > this.#sendLimit) {
      this.#sendLimit = bytes.byteLength * 2
      setsockoptInt(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, this.#sendLimit)
    }
    send(this.fd, bytes)
  }

  receive(): Uint8Array {
    const datagram = this.#recv(0)
    if (datagram === undefined)
      throw new SyscallError('recv', Errno.EAGAIN, `no answer from the kernel within ${this.#timeoutMs} ms`)
    return datagram
  }

  receiveNow(): Uint8Array | undefined {
    return this.#recv(MSG_DONTWAIT)
  }

  join(group: number): void {
    setsockoptInt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    close(this.fd)
  }

  #recv(flags: number): Uint8Array | undefined {
    const length = tryRecv(this.fd, this.#buffer, MSG_TRUNC | flags)
    if (length === -1) return undefined
    if (length > this.#buffer.byteLength)
      throw new DecodeError(
        'datagram',
        this.#buffer.byteLength,
        `${length} bytes were sent, the rest is lost`,
      )
    return this.#buffer.slice(0, length)
  }
}
