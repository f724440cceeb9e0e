/** Tells the P2P process which TURN servers it may use: finds their addresses, reads their secrets from files. */

import type { TurnConf } from '../../../conf/turn.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Part } from '../../base/part.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import { addressesOf, type TurnServer, type TurnView } from '../nat/turn/allocation.ts'
import type { TurnProblem } from '../nat/turn/problems.ts'
import { type FromProcess, MAX_TURN_SERVERS, type ToProcess } from './protocol.ts'
import { toldOf } from './turn-lookup.ts'

/** A name may lead elsewhere, and a file may have another secret. */
const AGAIN_MS: Millis = 300_000
/** When the name was not found, e.g. because this host had no network yet. */
const FAILED_AGAIN_MS: Millis = 10_000

/** One server as `GET /v1/status` shows it, without what it is used by. */
export interface TurnStatus extends Partial<TurnProblem> {
  /** As configured. */
  readonly server: string
  /** `idle`: every host has a better way. `ready`: it relays for this host. */
  readonly state: TurnView['state']
  /** Where it relays. */
  readonly relayed?: string
  readonly rttMs?: Millis
}

export interface TurnServersDeps {
  readonly conf: readonly TurnConf[]
  readonly scheduler: Scheduler
  readonly log: Log
  /** @throws {TurnLookupError} its name or its file cannot be used */
  find(conf: TurnConf): Promise<TurnServer>
  toProcess(message: ToProcess): boolean
}

export class TurnServers {
  readonly #deps: TurnServersDeps
  readonly #known = new Map<string, TurnServer>()
  readonly #problems = new Map<string, TurnProblem>()
  #views: readonly TurnView[] = []
  #canUse = false
  #cancel = (): void => {}
  #isStopped = false

  constructor(deps: TurnServersDeps) {
    this.#deps = deps
  }

  get part(): Part {
    return {
      start: () => void this.#look(),
      stop: () => {
        this.#isStopped = true
        this.#cancel()
      },
    }
  }

  get status(): TurnStatus[] {
    return this.#deps.conf.map(({ server }) => {
      const { name: _, ...view } = this.#views.find(({ name }) => name === server) ?? {
        state: 'idle' as const,
      }
      return { server, ...view, ...(!this.#known.has(server) && this.#problems.get(server)) }
    })
  }

  /** @param canUse whether the process knows `useTurn` */
  connected(canUse: boolean): void {
    this.#canUse = canUse
    this.#views = []
    this.#order()
  }

  said(message: FromProcess): void {
    if (message.type === 'turn') this.#views = message.servers
  }

  async #look(): Promise<void> {
    const { conf, scheduler } = this.#deps
    if (conf.length === 0) return
    await Promise.all(conf.map((server) => this.#find(server)))
    if (this.#isStopped) return
    this.#order()
    this.#cancel = scheduler.after(
      this.#problems.size > 0 ? FAILED_AGAIN_MS : AGAIN_MS,
      () => void this.#look(),
    )
  }

  /** What it was before still serves while a name or a file is not there. */
  async #find(conf: TurnConf): Promise<void> {
    const { log, find } = this.#deps
    const name = conf.server
    try {
      this.#known.set(name, await find(conf))
      this.#problems.delete(name)
    } catch (err) {
      const told = toldOf(err)
      if (this.#problems.get(name)?.problem !== told.problem)
        log.warn({ endpoint: name, reason: told.problem }, 'turn server is not known well enough')
      this.#problems.set(name, told)
    }
  }

  #order(): void {
    if (!this.#canUse || this.#deps.conf.length === 0) return
    const found = this.#deps.conf.flatMap(({ server }) => this.#known.get(server) ?? [])
    // Two names of one server: what it answers would belong to either.
    const servers = found.filter((a, i) =>
      found.slice(0, i).every((b) => addressesOf(b).every((address) => !addressesOf(a).includes(address))),
    )
    this.#deps.toProcess({ type: 'useTurn', servers: servers.slice(0, MAX_TURN_SERVERS) })
  }
}
