/** A filter on a socket that lets nothing in: the kernel drops what comes, before it costs this process anything. */

import { getRawPointer } from 'node:ffi'
import { LITTLE_ENDIAN } from 'netlink-ts/endian.ts'
import { SOL_SOCKET, setsockopt, setsockoptInt } from 'netlink-ts/libc.ts'

/** include/uapi/asm-generic/socket.h */
const SO_ATTACH_FILTER = 26
const SO_DETACH_FILTER = 27
/** struct sock_filter: code, two jumps, value. "Return 0" keeps no byte of a packet. */
const RETURN = 0x06
/** struct sock_fprog: u16 length, padding, address of the instructions. */
const SOCK_FPROG = 16

// An ArrayBuffer, since a short typed array may be moved while the kernel reads it.
const nothing = new ArrayBuffer(8)
new DataView(nothing).setUint16(0, RETURN, LITTLE_ENDIAN)

/**
 * What the socket has received already can still be read.
 * @param isDeaf false only after true
 * @throws {SyscallError} ENOMEM; ENOENT: it was not deaf
 */
export function setDeaf(fd: number, isDeaf: boolean): void {
  if (!isDeaf) {
    setsockoptInt(fd, SOL_SOCKET, SO_DETACH_FILTER, 0)
    return
  }
  const program = new DataView(new ArrayBuffer(SOCK_FPROG))
  program.setUint16(0, 1, LITTLE_ENDIAN)
  program.setBigUint64(8, getRawPointer(nothing), LITTLE_ENDIAN)
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer))
}
