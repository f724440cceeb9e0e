/** The errors of this package: one tree, each class with a stable `code` to match on. */

/** Linux errno values that callers act on, alike on all supported CPUs. include/uapi/asm-generic/errno{-base,}.h. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  ERESTART: 85,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EPFNOSUPPORT: 96,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EDQUOT: 122,
} as const

/** `17` → `EEXIST`; a number without a name here → `errno 200`. */
export function errnoName(errno: number): string {
  for (const name in Errno) if (Errno[name as keyof typeof Errno] === errno) return name
  return `errno ${errno}`
}

/** Every error that this package raises on purpose. */
export abstract class NetlinkTsError extends Error {
  abstract readonly code: 'ERR_SYSCALL' | 'ERR_NETLINK' | 'ERR_DECODE' | 'ERR_NETNS'
}

/** A system call that returned -1. */
export class SyscallError extends NetlinkTsError {
  override readonly name = 'SyscallError'
  readonly code = 'ERR_SYSCALL'
  /** Name of the libc function, e.g. `setns`. */
  readonly syscall: string
  /** Positive. */
  readonly errno: number
  readonly errnoName: string
  /** @param detail what the call was about, e.g. a path, or `no answer within 5000 ms` */
  constructor(syscall: string, errno: number, detail?: string, options?: ErrorOptions) {
    const errnoText = errnoName(errno)
    super(`${syscall}: ${errnoText}${detail === undefined ? '' : `: ${detail}`}`, options)
    this.syscall = syscall
    this.errno = errno
    this.errnoName = errnoText
  }
}

export interface NetlinkErrorOptions extends ErrorOptions {
  /** The kernel's own sentence, NLMSGERR_ATTR_MSG. */
  readonly kernelMessage?: string | undefined
  /** Byte offset of the refused attribute in the request, NLMSGERR_ATTR_OFFS; 0 is the message header. */
  readonly offset?: number | undefined
}

/** A request that the kernel answered with an error. */
export class NetlinkError extends NetlinkTsError {
  override readonly name = 'NetlinkError'
  readonly code = 'ERR_NETLINK'
  /** What was asked, e.g. `RTM_NEWLINK flatnet0`. */
  readonly op: string
  /** Positive. */
  readonly errno: number
  readonly errnoName: string
  readonly kernelMessage: string | undefined
  readonly offset: number | undefined
  constructor(op: string, errno: number, options: NetlinkErrorOptions = {}) {
    const errnoText = errnoName(errno)
    const { kernelMessage } = options
    super(
      `${op}: ${errnoText}${kernelMessage === undefined ? '' : `: ${kernelMessage}`}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.op = op
    this.errno = errno
    this.errnoName = errnoText
    this.kernelMessage = kernelMessage
    this.offset = options.offset
  }
}

/** Bytes that do not match their codec, or an answer that breaks the protocol. */
export class DecodeError extends NetlinkTsError {
  override readonly name = 'DecodeError'
  readonly code = 'ERR_DECODE'
  /** Name of the codec, e.g. `ifinfomsg` or `IFLA`. */
  readonly codec: string
  /** The field or attribute in it, when known, e.g. `mtu`. */
  readonly attribute: string | undefined
  /** Byte offset in the buffer of the outermost decode. */
  readonly offset: number
  constructor(codec: string, offset: number, problem: string, attribute?: string) {
    super(`${codec}${attribute === undefined ? '' : `.${attribute}`} at byte ${offset}: ${problem}`)
    this.codec = codec
    this.attribute = attribute
    this.offset = offset
  }
}

/** A path or descriptor that is not the network namespace it should be. */
export class NetnsError extends NetlinkTsError {
  override readonly name = 'NetnsError'
  readonly code = 'ERR_NETNS'
  readonly path: string
  readonly reason: 'missing' | 'not-a-netns'
  constructor(path: string, reason: 'missing' | 'not-a-netns', options?: ErrorOptions) {
    super(
      reason === 'missing'
        ? `no network namespace at ${path}: it does not exist`
        : `${path} is not a network namespace`,
      options,
    )
    this.path = path
    this.reason = reason
  }
}
