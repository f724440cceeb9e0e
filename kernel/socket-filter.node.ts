/** Filters on a socket: the kernel drops what comes, before it costs this process anything. */

import { getRawPointer } from 'node:ffi'
import { LITTLE_ENDIAN } from 'netlink-ts/endian.ts'
import { SOL_SOCKET, setsockopt, setsockoptInt } from 'netlink-ts/libc.ts'

/** include/uapi/asm-generic/socket.h */
const SO_ATTACH_FILTER = 26
const SO_DETACH_FILTER = 27
/** struct sock_filter: code, two jumps, value. "Return 0" keeps no byte of a packet. */
const INSTRUCTION = 8
const LOAD_LENGTH = 0x80
const JUMP_IF_AT_LEAST = 0x35
const RETURN = 0x06
const ALL = 0xffffffff
const UDP_HEADER = 8
/** struct sock_fprog: u16 length, padding, address of the instructions. */
const SOCK_FPROG = 16

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number]

const NOTHING = programOf([[RETURN, 0, 0, 0]])

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
  attach(fd, NOTHING)
}

/**
 * Lets in no datagram with fewer bytes than `least`. It sees each that came in one packet with others (UDP GSO).
 * @param fd of a UDP socket
 * @throws {SyscallError} ENOMEM
 */
export function dropShort(fd: number, least: number): void {
  attach(
    fd,
    programOf([
      [LOAD_LENGTH, 0, 0, 0],
      [JUMP_IF_AT_LEAST, 0, 1, UDP_HEADER + least],
      [RETURN, 0, 0, ALL],
      [RETURN, 0, 0, 0],
    ]),
  )
}

/** An ArrayBuffer, since a short typed array may be moved while the kernel reads it. */
function programOf(instructions: readonly Instruction[]): ArrayBuffer {
  const bytes = new ArrayBuffer(INSTRUCTION * instructions.length)
  const view = new DataView(bytes)
  for (const [i, [code, ifTrue, ifFalse, value]] of instructions.entries()) {
    view.setUint16(i * INSTRUCTION, code, LITTLE_ENDIAN)
    view.setUint8(i * INSTRUCTION + 2, ifTrue)
    view.setUint8(i * INSTRUCTION + 3, ifFalse)
    view.setUint32(i * INSTRUCTION + 4, value, LITTLE_ENDIAN)
  }
  return bytes
}

function attach(fd: number, instructions: ArrayBuffer): void {
  const program = new DataView(new ArrayBuffer(SOCK_FPROG))
  program.setUint16(0, instructions.byteLength / INSTRUCTION, LITTLE_ENDIAN)
  program.setBigUint64(8, getRawPointer(instructions), LITTLE_ENDIAN)
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer))
}
