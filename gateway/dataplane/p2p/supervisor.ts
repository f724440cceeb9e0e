/** Keeps one P2P process running and this gateway connected to it: adopts a running one, or starts one. */

import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Launched } from './launch.ts'
import { connectProcess, type ProcessConnection, type ProcessHello } from './process-client.ts'
import { type FromProcess, P2P_PROTOCOL, type ToProcess } from './protocol.ts'

/** Called synchronously; must not throw. */
interface SupervisorEvents {
  /** The gateway is connected to a process, whose sessions are in `hello`. */
  connected(hello: ProcessHello): void
  message(message: FromProcess): void
  disconnected(reason: string): void
}

export interface SupervisorDeps {
  readonly socketPath: string
  readonly hostId: number
  readonly version: string
  readonly scheduler: Scheduler
  readonly log: Log
  readonly events: SupervisorEvents
  /** Undefined: a service manager starts the process, and this gateway only connects. */
  launch?: (() => Launched) | undefined
  /** Ends a process that this gateway did not launch and that ignores `stop`. */
  kill(pid: number): void
}

/** A process is ready 0.2 s after its start. */
const POLL_MS: Millis = 50
/** A process that does not serve by then hangs. */
const START_MS: Millis = 10_000
/** An orderly end takes a goodbye to each peer. */
const STOP_MS: Millis = 5_000
/** The wait after a crash. Each further crash lengthens it, as a start costs 0.2 s of a core. */
const FIRST_BACKOFF_MS: Millis = 200
const MOST_BACKOFF_MS: Millis = 30_000
const BACKOFF_FACTOR = 2.5
/** How often to look for a process that a service manager starts. */
const LOOK_MS: Millis = 500
/** A process that ran for this long was healthy: its end counts as a first crash. */
const STEADY_MS: Millis = 60_000

export class ProcessSupervisor {
  readonly #deps: SupervisorDeps
  #connection: ProcessConnection | undefined
  #child: Launched | undefined
  #startedAt: Millis = 0
  #connectedAt: Millis = 0
  #backoffMs: Millis = FIRST_BACKOFF_MS
  #launchAt: Millis = 0
  #problem: string | undefined = 'is being started'
  #cancel: (() => void) | undefined
  #giveUp: (() => void) | undefined
  #isStopped = false

  constructor(deps: SupervisorDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#connect()
  }

  /** The process goes on: the next gateway adopts it. */
  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
    this.#giveUp?.()
  }

  /** Why the gateway is not connected, in words; undefined: it is. */
  get problem(): string | undefined {
    return this.#problem
  }

  get hello(): ProcessHello | undefined {
    return this.#problem === undefined ? this.#connection?.hello : undefined
  }

  send(message: ToProcess): boolean {
    return this.#problem === undefined && (this.#connection?.send(message) ?? false)
  }

  #later(ms: Millis): void {
    if (this.#isStopped) return
    this.#cancel?.()
    this.#cancel = this.#deps.scheduler.after(ms, () => this.#connect())
  }

  #connect(): void {
    const { socketPath: path, version, scheduler, events } = this.#deps
    this.#giveUp = connectProcess(
      { path, version, scheduler },
      {
        ready: (connection) => this.#met(connection),
        message: (message) => {
          if (this.#problem === undefined) events.message(message)
        },
        closed: (reason) => this.#closed(reason),
      },
    )
  }

  #met(connection: ProcessConnection): void {
    const { hello } = connection
    const { log, events, scheduler } = this.#deps
    this.#connection = connection
    const stranger = this.#whyStranger(hello)
    if (stranger !== undefined) {
      this.#replace(connection, stranger)
      return
    }
    this.#problem = undefined
    this.#connectedAt = scheduler.monotonic()
    log.info({ pid: hello.pid, version: hello.version }, 'p2p process connected')
    events.connected(hello)
  }

  #whyStranger({ protocol, hostId }: ProcessHello): string | undefined {
    if (protocol !== P2P_PROTOCOL) return `it speaks protocol ${protocol}, this gateway ${P2P_PROTOCOL}`
    const own = this.#deps.hostId
    return hostId === own ? undefined : `it belongs to host ${hostId}, this gateway to host ${own}`
  }

  /** A process of another version has the port and the device, so it has to end first. */
  #replace(connection: ProcessConnection, reason: string): void {
    const { log, kill, scheduler } = this.#deps
    this.#problem = reason
    log.warn({ reason, pid: connection.hello.pid }, 'p2p process is replaced')
    connection.send({ type: 'stop', reason: 'another version takes over' })
    this.#cancel?.()
    this.#cancel = scheduler.after(STOP_MS, () => {
      kill(connection.hello.pid)
      connection.close()
    })
  }

  #closed(reason: string): void {
    const hadAnswered = this.#connection !== undefined
    const wasConnected = hadAnswered && this.#problem === undefined
    const { scheduler, log, events } = this.#deps
    this.#connection = undefined
    if (this.#isStopped) return
    this.#problem = reason
    if (wasConnected) {
      if (scheduler.monotonic() - this.#connectedAt >= STEADY_MS) this.#backoffMs = FIRST_BACKOFF_MS
      log.warn({ reason }, 'p2p process disconnected')
      events.disconnected(reason)
    }
    this.#later(hadAnswered ? 0 : this.#absent())
  }

  /** Starts a process if none answers. @returns when to look again */
  #absent(): Millis {
    const { launch, scheduler } = this.#deps
    const now = scheduler.monotonic()
    if (this.#child !== undefined) {
      if (now - this.#startedAt >= START_MS) this.#child.kill('SIGKILL')
      return POLL_MS
    }
    if (launch === undefined) return LOOK_MS
    if (now < this.#launchAt) return this.#launchAt - now
    this.#launch(launch, now)
    return POLL_MS
  }

  #launch(launch: () => Launched, now: Millis): void {
    const { log } = this.#deps
    this.#launchAt = now + this.#backoffMs
    this.#backoffMs = Math.min(MOST_BACKOFF_MS, this.#backoffMs * BACKOFF_FACTOR)
    this.#startedAt = now
    try {
      const child = launch()
      this.#child = child
      log.info({ pid: child.pid }, 'p2p process started')
      child.onExit((how) => {
        if (this.#child === child) this.#child = undefined
        log.warn({ reason: how, pid: child.pid }, 'p2p process ended')
      })
    } catch (err) {
      log.error({ err }, 'p2p process could not be started')
    }
  }
}
