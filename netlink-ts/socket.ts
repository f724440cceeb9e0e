/**
 * A netlink socket: requests in, replies out.
 *
 * Sequence numbers, multi-part answers, errors and repetition are decided here.
 */

import { debug } from './debug.ts'
import { DecodeError, Errno, NetlinkError, SyscallError } from './errors.ts'
import {
  buildMessages,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  type Reply,
  type Request,
  splitMessages,
  verdictOf,
} from './message.ts'
import { KernelTransport, type Transport, type TransportOptions } from './transport.ts'

/** include/uapi/linux/netlink.h. */
export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

/** How often a dump is tried that the kernel marks as inconsistent (something changed while it was written). */
const DUMP_TRIES = 5
/**
 * Messages in one send of `executeAll`. The kernel queues all answers before send() returns, each at the cost of 1 KiB
 * (an acknowledgement) to 6 KiB (that and a link) of a receive buffer of 208 KiB by default; what does not fit is lost.
 */
const BATCH_MESSAGES = 32

/** Not for use from several threads; one request is under way at a time. */
export class NetlinkSocket implements Disposable {
  readonly #transport: Transport
  #nextSeq = 1

  private constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * @param protocol NETLINK_ROUTE or NETLINK_NETFILTER
   * @throws {SyscallError} `setns` EPERM for a foreign namespace without CAP_SYS_ADMIN
   */
  static open(protocol: number, options: TransportOptions = {}): NetlinkSocket {
    return new NetlinkSocket(new KernelTransport(protocol, options))
  }

  /** For tests: the same socket over something that plays the kernel. */
  static over(transport: Transport): NetlinkSocket {
    return new NetlinkSocket(transport)
  }

  /** For poll() on a socket that has joined groups, and for ioctl(). @throws {TypeError} not a socket of the kernel */
  get fd(): number {
    return this.#kernel().fd
  }

  /**
   * Asks once and returns the answers in the kernel's order, without acknowledgement and end mark.
   * @throws {NetlinkError} the kernel's refusal; EINTR when a dump was inconsistent 5 times
   * @throws {SyscallError} `recv` EAGAIN: no answer in time; ENOBUFS: answers were lost
   * @throws {DecodeError} an answer to another socket, or a malformed one
   */
  execute(request: Request): Reply[] {
    if (!isDump(request)) {
      const [outcome] = this.#transact([request])
      if (outcome instanceof NetlinkError) throw outcome
      return outcome ?? []
    }
    for (let attempt = 0; attempt < DUMP_TRIES; attempt++) {
      const replies = this.#dump(request)
      if (replies !== undefined) return replies
    }
    throw new NetlinkError(request.op, Errno.EINTR, {
      kernelMessage: `the dump was interrupted by changes ${DUMP_TRIES} times`,
    })
  }

  /**
   * Sends many requests at once; the kernel does them in order and goes on after an error.
   * @returns for each request its answers, or the kernel's refusal
   * @throws {TypeError} a dump is among them: its answers come on demand and would mix with the others
   * @throws as `execute`, for what is not an answer to one request
   */
  executeAll(requests: readonly Request[]): (Reply[] | NetlinkError)[] {
    const outcomes: (Reply[] | NetlinkError)[] = []
    for (let at = 0; at < requests.length; at += BATCH_MESSAGES)
      outcomes.push(...this.#transact(requests.slice(at, at + BATCH_MESSAGES)))
    return outcomes
  }

  /**
   * A transaction: `begin` and `end` around requests of which all or none happen (nfnetlink).
   * Only the last request is acknowledged, so that a batch of any length does not overrun the receive buffer;
   * every one that fails is reported all the same.
   * @returns what the requests with NLM_F_ECHO or the like answered
   * @throws {NetlinkError} the first refusal, with the op of its request; none has happened then
   */
  executeBatch(begin: Request, requests: readonly Request[], end: Request): Reply[] {
    const last = requests.at(-1)
    if (last === undefined) return []
    const all = [begin, ...requests.slice(0, -1), { ...last, flags: last.flags | NLM_F_ACK }, end]
    const first = this.#send(all, NLM_F_REQUEST)
    const next = this.#readerPastLoss()
    const replies: Reply[] = []
    let failure: NetlinkError | undefined
    for (;;) {
      let datagram: Uint8Array
      try {
        datagram = next()
      } catch (err) {
        throw failure ?? err
      }
      for (const reply of this.#own(datagram, first, all.length)) {
        const index = reply.header.seq - first
        if (reply.header.type !== NLMSG_ERROR) {
          replies.push(reply)
          continue
        }
        failure ??= verdictOf(reply, all[index]?.op ?? begin.op)
        // An error on `begin` is about the whole batch; what may still follow is skipped as a late answer.
        const isLast = index >= requests.length || (index === 0 && failure !== undefined)
        if (!isLast) continue
        if (failure !== undefined) throw failure
        return replies
      }
    }
  }

  /** Subscribes to a multicast group, e.g. RTNLGRP_LINK (1). Read with `notifications`, on a socket used for nothing else. */
  join(group: number): void {
    this.#kernel().join(group)
  }

  /** What has arrived by now from joined groups; does not wait. @throws {SyscallError} ENOBUFS: messages were lost, read the whole state again */
  notifications(): Reply[] {
    const replies: Reply[] = []
    for (let d = this.#transport.receiveNow(); d !== undefined; d = this.#transport.receiveNow())
      for (const reply of splitMessages(d)) {
        debug?.received(this.#transport.pid, reply)
        replies.push(reply)
      }
    return replies
  }

  /** Idempotent. */
  close(): void {
    this.#transport.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #kernel(): KernelTransport {
    if (this.#transport instanceof KernelTransport) return this.#transport
    throw new TypeError('not a socket of the kernel')
  }

  /**
   * When hundreds of requests of a batch fail, not all refusals fit and receive() throws ENOBUFS; the first ones, which
   * tell the cause, are still to be read. Throws that ENOBUFS again when nothing is left.
   */
  #readerPastLoss(): () => Uint8Array {
    let lost: SyscallError | undefined
    return () => {
      if (lost === undefined)
        try {
          return this.#transport.receive()
        } catch (err) {
          if (!(err instanceof SyscallError && err.errno === Errno.ENOBUFS)) throw err
          lost = err
        }
      const datagram = this.#transport.receiveNow()
      if (datagram === undefined) throw lost
      return datagram
    }
  }

  /** @returns the sequence number of the first request */
  #send(requests: readonly Request[], flags: number): number {
    const first = this.#nextSeq
    this.#nextSeq += requests.length
    debug?.sent(this.#transport.pid, requests, first, flags)
    this.#transport.send(buildMessages(requests, first, this.#transport.pid, flags))
    return first
  }

  #receive(first: number, count: number): Reply[] {
    return this.#own(this.#transport.receive(), first, count)
  }

  /** The messages of a datagram that answer the requests `first … first + count - 1`. */
  #own(datagram: Uint8Array, first: number, count: number): Reply[] {
    const own: Reply[] = []
    for (const reply of splitMessages(datagram)) {
      debug?.received(this.#transport.pid, reply)
      const { seq, pid, type } = reply.header
      // Answers to a request that was given up (time limit, failed batch) may still arrive.
      if (type === NLMSG_NOOP || (seq > 0 && seq < first)) continue
      if (pid !== this.#transport.pid)
        throw new DecodeError('nlmsghdr', 12, `answer for port ${pid}, ours is ${this.#transport.pid}`, 'pid')
      if (seq < first || seq >= first + count)
        throw new DecodeError(
          'nlmsghdr',
          8,
          `answer to ${seq}; ${first} to ${first + count - 1} are open`,
          'seq',
        )
      own.push(reply)
    }
    return own
  }

  /** The kernel does them in order and reports each that fails, so only the last has to be acknowledged. */
  #transact(requests: readonly Request[]): (Reply[] | NetlinkError)[] {
    const outcomes: (Reply[] | NetlinkError)[] = []
    const sent: Request[] = []
    for (const request of requests) {
      if (requests.length > 1 && isDump(request))
        throw new TypeError('a dump cannot be sent with other requests')
      outcomes.push([])
      const isLast = outcomes.length === requests.length
      sent.push(isLast ? { ...request, flags: request.flags | NLM_F_ACK } : request)
    }
    const first = this.#send(sent, NLM_F_REQUEST)
    for (let isOpen = sent.length > 0; isOpen; )
      for (const reply of this.#receive(first, requests.length)) {
        const index = reply.header.seq - first
        if (reply.header.type === NLMSG_DONE) continue
        if (reply.header.type === NLMSG_ERROR) {
          if (index === requests.length - 1) isOpen = false
          const refusal = verdictOf(reply, requests[index]?.op ?? '')
          if (refusal !== undefined) outcomes[index] = refusal
          continue
        }
        const answers = outcomes[index]
        if (Array.isArray(answers)) answers.push(reply)
      }
    return outcomes
  }

  /** @returns undefined when the kernel says that the answers do not fit together */
  #dump(request: Request): Reply[] | undefined {
    const first = this.#send([request], NLM_F_REQUEST | NLM_F_ACK)
    const replies: Reply[] = []
    let interrupted = false
    for (;;) {
      for (const reply of this.#receive(first, 1)) {
        const { type, flags } = reply.header
        if (flags & NLM_F_DUMP_INTR) interrupted = true
        if (type !== NLMSG_DONE && type !== NLMSG_ERROR) {
          replies.push(reply)
          continue
        }
        const refusal = verdictOf(reply, request.op)
        if (refusal !== undefined) throw refusal
        return interrupted ? undefined : replies
      }
    }
  }
}

const isDump = (request: Request): boolean => (request.flags & NLM_F_DUMP) === NLM_F_DUMP
