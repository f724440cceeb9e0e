/**
 * A netlink socket: requests in, replies out.
 *
 * Handles sequence numbers, multi-part answers, errors and repetition.
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

/** How often to try a dump that the kernel marks as inconsistent, because something changed meanwhile. */
const DUMP_TRIES = 5
/**
 * Messages in one send of `executeAll`. The kernel queues all answers before send() returns. Each takes 1 KiB (an
 * acknowledgement) to 6 KiB (with a link) of the receive buffer, 208 KiB by default; answers that do not fit are lost.
 */
const BATCH_MESSAGES = 32

/** For use by one thread, with one request at a time. */
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

  /** For tests: a socket over a transport that plays the kernel. */
  static over(transport: Transport): NetlinkSocket {
    return new NetlinkSocket(transport)
  }

  /** For poll() on a socket that has joined groups, and for ioctl(). @throws {TypeError} not a socket of the kernel */
  get fd(): number {
    return this.#kernel().fd
  }

  /**
   * Sends one request and returns the answers in the kernel's order, without acknowledgement and end mark.
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
   * @returns each request's answers, or the kernel's refusal
   * @throws {TypeError} a dump is among them: its answers come on demand and would mix with the others
   * @throws as `execute`, for errors that concern no single request
   */
  executeAll(requests: readonly Request[]): (Reply[] | NetlinkError)[] {
    const outcomes: (Reply[] | NetlinkError)[] = []
    for (let at = 0; at < requests.length; at += BATCH_MESSAGES)
      outcomes.push(...this.#transact(requests.slice(at, at + BATCH_MESSAGES)))
    return outcomes
  }

  /**
   * A transaction (nfnetlink): between `begin` and `end`, the kernel does all requests or none.
   * It acknowledges only the last request, so that no batch overruns the receive buffer, but reports every failure.
   * @returns the answers to requests with NLM_F_ECHO or the like
   * @throws {NetlinkError} the first refusal, with the op of its request; then nothing was done
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
        // An error on `begin` concerns the whole batch; answers that still follow are skipped as late ones.
        const isLast = index >= requests.length || (index === 0 && failure !== undefined)
        if (!isLast) continue
        if (failure !== undefined) throw failure
        return replies
      }
    }
  }

  /**
   * Subscribes to a multicast group, e.g. RTNLGRP_LINK (1). Read by `notifications`; use the socket for nothing else.
   */
  join(group: number): void {
    this.#kernel().join(group)
  }

  /**
   * What has arrived from joined groups; does not wait.
   * @throws {SyscallError} ENOBUFS: messages were lost, so read the whole state again
   */
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
   * When hundreds of requests of a batch fail, not all refusals fit and receive() throws ENOBUFS. The first refusals,
   * which name the cause, can still be read. Throws that ENOBUFS again when none is left.
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

  /** Filters a datagram for answers to the requests `first … first + count - 1`. */
  #own(datagram: Uint8Array, first: number, count: number): Reply[] {
    const own: Reply[] = []
    for (const reply of splitMessages(datagram)) {
      debug?.received(this.#transport.pid, reply)
      const { seq, pid, type } = reply.header
      // Answers to an abandoned request (time limit, failed batch) may still arrive.
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

  /** The kernel works in order and reports each failure, so only the last request needs an acknowledgement. */
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

  /** @returns undefined: the kernel says that the answers do not fit together */
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
