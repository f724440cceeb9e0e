/** A program in a host's namespace that takes orders as JSON lines and prints events as JSON lines. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { waitFor } from '../run/wait.ts'

export interface HostEvent {
  readonly event: string
  readonly hostId?: number
  readonly [key: string]: unknown
}

export interface HostProgramOptions {
  readonly hostId: number
  /** For `ip netns exec`. */
  readonly netns: string
  readonly path: string
}

export class HostProgram<Order extends object> {
  readonly events: HostEvent[] = []
  readonly #options: HostProgramOptions
  #process: ChildProcess | undefined
  #stderr = ''

  constructor(options: HostProgramOptions) {
    this.#options = options
  }

  /** @param conf the program's only argument, as JSON */
  start(conf: object, nodeFlags: readonly string[] = []): void {
    const { netns, path } = this.#options
    const argv = [process.execPath, '--disable-warning=ExperimentalWarning', ...nodeFlags, path]
    const child = spawn('ip', ['netns', 'exec', netns, ...argv, JSON.stringify(conf)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Without tap's loader and coverage.
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#process = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line)))
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null
  }

  order(order: Order): void {
    this.#process?.stdin?.write(`${JSON.stringify(order)}\n`)
  }

  /** Waits for the next event of a kind, after the first `seen` of all events. @param of only of this host */
  async event(kind: string, seen: number, timeoutMs = 10_000, of?: number): Promise<HostEvent> {
    const { hostId } = this.#options
    const isIt = (e: HostEvent) => e.event === kind && (of === undefined || e.hostId === of)
    try {
      return await waitFor(`host ${hostId} says ${kind}`, timeoutMs, () => this.events.slice(seen).find(isIt))
    } catch (cause) {
      throw new Error(`host ${hostId}: no ${kind}; stderr: ${this.#stderr.trim()}`, { cause })
    }
  }

  /** Sends an order and waits for its answer. */
  async ask(order: Order, kind: string, timeoutMs?: number): Promise<HostEvent> {
    const seen = this.events.length
    this.order(order)
    return this.event(kind, seen, timeoutMs)
  }

  /** Kills the program and waits for its end. */
  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await gone
  }
}
