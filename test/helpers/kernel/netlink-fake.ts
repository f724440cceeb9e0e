/** A kernel made of a function: it sees the requests of each send and says which datagrams come back. */
import { encode } from 'netlink-ts/codec.ts'
import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import {
  type Header,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  nlmsgerrAttrs,
  nlmsghdr,
  type Reply,
  splitMessages,
} from 'netlink-ts/message.ts'
import type { Transport } from 'netlink-ts/transport.ts'

export const PID = 4242
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200

export interface FakeTransport extends Transport {
  /** Every request so far, one array for each send. */
  readonly sent: Reply[][]
  closed: boolean
}

/** @param answer an Error among its datagrams is what receive() throws */
export function fakeKernel(answer: (requests: Reply[]) => (Uint8Array | Error)[]): FakeTransport {
  const queue: (Uint8Array | Error)[] = []
  const next = (): Uint8Array | undefined => {
    const datagram = queue.shift()
    if (datagram instanceof Error) throw datagram
    return datagram
  }
  return {
    pid: PID,
    sent: [],
    closed: false,
    send(bytes) {
      const requests = splitMessages(bytes)
      this.sent.push(requests)
      queue.push(...answer(requests))
    },
    receive() {
      const datagram = next()
      if (datagram === undefined)
        throw new SyscallError('recv', Errno.EAGAIN, 'the fake kernel has nothing to say')
      return datagram
    },
    receiveNow: next,
    close() {
      this.closed = true
    },
  }
}

/** Makes a message; absent fields are as the kernel fills them for `request`. */
export function message(
  request: Reply,
  header: Partial<Header>,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const padded = new Uint8Array((payload.length + 3) & ~3)
  padded.set(payload)
  const full = {
    type: 16,
    flags: 0,
    seq: request.header.seq,
    pid: PID,
    ...header,
    length: 16 + payload.length,
  }
  return Uint8Array.of(...encode(nlmsghdr, full), ...padded)
}

/** NLMSG_ERROR as with NETLINK_CAP_ACK and NETLINK_EXT_ACK; `errno` 0 is an acknowledgement. */
export function ack(
  request: Reply,
  errno = 0,
  text?: { message?: string; offset?: number },
  header: Partial<Header> = {},
): Uint8Array {
  const payload = [
    ...new Uint8Array(Int32Array.of(-errno).buffer),
    ...encode(nlmsghdr, request.header),
    ...(text === undefined ? [] : encode(nlmsgerrAttrs, text)),
  ]
  const flags = NLM_F_CAPPED | (text === undefined ? 0 : NLM_F_ACK_TLVS)
  return message(request, { type: NLMSG_ERROR, flags, ...header }, Uint8Array.from(payload))
}

export const done = (request: Reply, errno = 0, flags = 0): Uint8Array =>
  message(
    request,
    { type: NLMSG_DONE, flags: NLM_F_MULTI | flags },
    new Uint8Array(Int32Array.of(-errno).buffer),
  )

/** Several messages in one datagram. */
export const datagram = (...messages: Uint8Array[]): Uint8Array =>
  Uint8Array.from(messages.flatMap((m) => [...m]))
