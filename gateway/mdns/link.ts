/** One link with its socket: opened, handed over, and why no name can be published on it. */

import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import { contains, parseIpv4, prefixBase } from '../../core/addr.ts'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { LanLink } from '../../kernel/lan.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { LinkNames } from './link-names.ts'
import type { LinkSocket, LinkSocketDeps } from './socket.ts'

export interface LinkDeps {
  readonly metrics: Metrics
  readonly scheduler: Scheduler
  readonly log: Log
  open(deps: LinkSocketDeps): Promise<LinkSocket>
  /** Of this host, on any link. */
  isOwn(address: string): boolean
  taken(name: string, by: string, ifname: string): void
}

/** A message that does not go out may be a full queue. */
const MAX_UNSENT = 3
/** The link itself is down or gone. */
const LINK_ERRORS: ReadonlySet<unknown> = new Set(['ENETDOWN', 'ENODEV'])

export class Link {
  readonly lan: LanLink
  readonly names: LinkNames
  #deps: LinkDeps
  /** One after the other. */
  #unsent = 0
  #socket: LinkSocket | undefined
  #problem: string | undefined
  #isResting = false

  constructor(lan: LanLink, deps: LinkDeps) {
    this.lan = lan
    this.#deps = deps
    const { address, ifname, prefixLen } = lan
    const network = { base: prefixBase(parseIpv4(address) ?? 0, prefixLen), prefixLen }
    this.names = new LinkNames({
      address,
      scheduler: deps.scheduler,
      random: Math.random,
      send: (bytes) => this.#socket?.send(bytes),
      reply: (bytes, to) => this.#socket?.send(bytes, to),
      isOnLink(client) {
        const ip = parseIpv4(client)
        return ip !== undefined && contains(network, ip)
      },
      isOwn: (ip) => this.#deps.isOwn(ip),
      dropped: (why) => this.#dropped(why),
      flooded: (restMs) => this.#rest(restMs),
      taken: (name, by) => this.#deps.taken(name, by, ifname),
    })
  }

  /** Undefined: none. */
  get problem(): string | undefined {
    return this.#problem
  }

  get isOpen(): boolean {
    return this.#socket !== undefined
  }

  /** The next run of the gateway has it: what happens from now on is said and counted there. */
  handOver(deps: LinkDeps): void {
    this.#deps = deps
  }

  /** Does not throw: `problem` says what is wrong. */
  async open(): Promise<void> {
    const { log, open } = this.#deps
    const { address, ifname } = this.lan
    try {
      this.#socket = await open({
        link: this.lan,
        received: (bytes, from) => this.names.receive(bytes, from),
        sent: (err, isReply) => this.#sent(err, isReply),
        failed: (err) => void this.#failed(err),
      })
      this.#problem = undefined
      this.#unsent = 0
      log.info({ ifname, endpoint: address }, 'local names are published on a link')
    } catch (err) {
      const problem = problemOf(err)
      if (problem !== this.#problem) log.warn({ err, ifname }, 'local names are not published on a link')
      this.#problem = problem
    }
  }

  /** Takes the names back, and has done so when it resolves. */
  async close(): Promise<void> {
    this.names.setNames(new Set())
    const socket = this.#socket
    this.#socket = undefined
    await socket?.close()
  }

  #sent(err: NodeJS.ErrnoException | null, isReply: boolean): void {
    if (err === null) this.#unsent = 0
    else {
      this.#dropped('unsent')
      // A reply that fails says that one client is gone, e.g. by EHOSTUNREACH.
      if (LINK_ERRORS.has(err.code)) this.#unsent = MAX_UNSENT
      else if (!isReply) this.#unsent++
    }
    // What was sent before it was closed says nothing of the next socket.
    if (!this.isOpen) return
    if (err === null) this.#problem = undefined
    else if (this.#unsent >= MAX_UNSENT) this.#problem = `nothing can be sent: ${err.message}`
  }

  async #failed(err: Error): Promise<void> {
    this.#deps.log.warn({ err, ifname: this.lan.ifname }, 'local names are not published on a link')
    this.#problem = err.message
    await this.close()
  }

  #rest(restMs: Millis): void {
    if (this.#isResting) return
    this.#isResting = true
    this.#setDeaf(true)
    this.#deps.scheduler.after(restMs, () => {
      this.#isResting = false
      this.#setDeaf(false)
    })
  }

  #setDeaf(isDeaf: boolean): void {
    try {
      this.#socket?.setDeaf(isDeaf)
    } catch (err) {
      void this.#failed(err as Error)
    }
  }

  #dropped(why: string): void {
    const help = 'Messages of multicast DNS that were dropped unread, and some that could not be sent'
    this.#deps.metrics.count('flatnet_mdns_dropped_total', help, { why })
  }
}

function problemOf(err: unknown): string {
  if (err instanceof SyscallError && err.errno === Errno.EADDRINUSE)
    return (
      "another program has UDP 5353 for itself (ss -lunp 'sport = :5353' names it): let it share the port " +
      '(Avahi: disallow-other-stacks=no), or set mdns.enabled: false'
    )
  return err instanceof Error ? err.message : String(err)
}
