/** Simulates time and links between gateways: delay, loss, partitions and clones, in virtual time from one seed. */
import type { Millis } from '../../../core/clock.ts'
import { type Scheduler, schedulerOf } from '../../../gateway/base/scheduler.ts'
import type { ControlMessage } from '../../../gateway/links/types.ts'

interface Task {
  readonly at: Millis
  readonly order: number
  run: (() => void) | undefined
}

/** Virtual time: tasks run in order of time, then of their making. */
export class SimTime {
  #now: Millis = 0
  #order = 0
  readonly #heap: Task[] = []

  get now(): Millis {
    return this.#now
  }

  after(delayMs: Millis, run: () => void): () => void {
    const task: Task = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run }
    this.#push(task)
    return () => {
      task.run = undefined
    }
  }

  /** Runs what is due in the next `ms`. */
  run(ms: Millis): void {
    const until = this.#now + ms
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#pop()
      this.#now = next.at
      next.run?.()
    }
    this.#now = until
  }

  /**
   * Runs until `isDone`, asked every `stepMs`. @returns how long it took, or undefined when `limitMs` was not enough
   */
  runUntil(isDone: () => boolean, limitMs: Millis, stepMs: Millis = 10): Millis | undefined {
    const from = this.#now
    while (!isDone()) {
      if (this.#now - from >= limitMs) return undefined
      this.run(stepMs)
    }
    return this.#now - from
  }

  /** @param wallMs what a host's clock shows at virtual time 0 */
  scheduler(wallMs: () => Millis): Scheduler {
    const clock = { now: () => wallMs() + this.#now, monotonic: () => this.#now }
    return schedulerOf(clock, (delayMs, run) => this.after(delayMs, run))
  }

  #push(task: Task): void {
    const heap = this.#heap
    let i = heap.push(task) - 1
    for (let up = (i - 1) >> 1; i > 0 && isBefore(task, heap[up]!); up = (i - 1) >> 1) {
      heap[i] = heap[up]!
      i = up
    }
    heap[i] = task
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

const isBefore = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** mulberry32: small, and the same on every machine. */
export function seeded(seed: number): () => number {
  let a = seed | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A process on the network. Two may have one hostId: a clone. */
export interface SimNode {
  readonly hostId: number
  up(hostId: number): void
  down(hostId: number): void
  receive(hostId: number, message: ControlMessage): void
}

interface Link {
  readonly ends: readonly [SimNode, SimNode]
  isOpen: boolean
  /** When the last message to each end arrives: TCP keeps the order. */
  readonly busyUntil: [Millis, Millis]
}

export interface NetworkOptions {
  /** One way. */
  readonly delayMs?: Millis
  /** 0 to 1: that a message needs a retransmission. */
  readonly loss?: number
  /** Passes every message through JSON, as on the wire. */
  readonly isSerialized?: boolean
}

/** A lost segment comes 200 ms later (Linux: TCP_RTO_MIN), and so do all after it. */
const RETRANSMIT_MS: Millis = 200
/** docs/architecture/links.md#dead: a silent peer is dead after 3 s. */
const DEAD_MS: Millis = 3_000

export class SimNetwork {
  readonly time: SimTime
  readonly random: () => number
  readonly #options: Required<NetworkOptions>
  readonly #nodes = new Set<SimNode>()
  readonly #links = new Map<SimNode, Map<number, Link>>()
  #allows: (a: SimNode, b: SimNode) => boolean = () => true
  messages = 0

  constructor(time: SimTime, random: () => number, options: NetworkOptions = {}) {
    this.time = time
    this.random = random
    this.#options = { delayMs: 1, loss: 0, isSerialized: false, ...options }
  }

  /** Starts to dial the others. */
  add(node: SimNode): void {
    this.#nodes.add(node)
    this.#links.set(node, new Map())
    for (const other of this.#nodes) this.#dial(node, other)
  }

  /** Its process died, and its kernel tells the others at once. */
  remove(node: SimNode): void {
    for (const link of [...this.#links.get(node)!.values()]) this.#break(link, 1)
    this.#nodes.delete(node)
    this.#links.delete(node)
  }

  /**
   * Links that are no longer allowed fall silent; those that are allowed again come within 5 s
   * (docs/architecture/links.md#dead: backoff).
   */
  allow(allows: (a: SimNode, b: SimNode) => boolean): void {
    this.#allows = allows
    const links = new Set([...this.#links.values()].flatMap((l) => [...l.values()]))
    for (const link of links) if (!allows(...link.ends)) this.#break(link, DEAD_MS)
    const nodes = [...this.#nodes]
    for (const [i, a] of nodes.entries()) for (const b of nodes.slice(i + 1)) this.#dial(a, b, 5_000)
  }

  /** Breaks a link as a router does that restarts; it comes back. */
  reset(a: SimNode, b: SimNode): void {
    const link = this.#links.get(a)?.get(b.hostId)
    if (link === undefined) return
    this.#break(link, 1)
    this.#dial(a, b, 500)
  }

  isLinked(a: SimNode, b: SimNode): boolean {
    return this.#links.get(a)?.get(b.hostId)?.ends.includes(b) ?? false
  }

  send(from: SimNode, hostId: number, message: ControlMessage): boolean {
    const link = this.#links.get(from)?.get(hostId)
    if (link === undefined || !link.isOpen) return false
    const to = link.ends[0] === from ? 1 : 0
    const { delayMs, loss, isSerialized } = this.#options
    const lost = loss > 0 && this.random() < loss ? RETRANSMIT_MS : 0
    const at = Math.max(link.busyUntil[to], this.time.now + delayMs * (0.5 + this.random()) + lost)
    link.busyUntil[to] = at
    this.messages++
    const sent = isSerialized ? (JSON.parse(JSON.stringify(message)) as ControlMessage) : message
    this.time.after(at - this.time.now, () => {
      if (link.isOpen) link.ends[to].receive(from.hostId, sent)
    })
    return true
  }

  #dial(a: SimNode, b: SimNode, withinMs: Millis = 100): void {
    if (a.hostId === b.hostId) return
    this.time.after(this.random() * withinMs, () => {
      const isThere = this.#nodes.has(a) && this.#nodes.has(b)
      if (!isThere || !this.#allows(a, b) || this.isLinked(a, b)) return
      for (const link of [this.#links.get(a)?.get(b.hostId), this.#links.get(b)?.get(a.hostId)]) {
        // Another process of that hostId has the link: this one replaces it, and the other dials again.
        if (link !== undefined) this.#replace(link)
      }
      const link: Link = { ends: [a, b], isOpen: true, busyUntil: [0, 0] }
      this.#links.get(a)?.set(b.hostId, link)
      this.#links.get(b)?.set(a.hostId, link)
      a.up(b.hostId)
      b.up(a.hostId)
    })
  }

  #replace(link: Link): void {
    this.#break(link, 1)
    this.#dial(...link.ends, 2_000)
  }

  #break(link: Link, noticedMs: Millis): void {
    link.isOpen = false
    for (const [i, node] of link.ends.entries()) {
      const hostId = link.ends[1 - i]!.hostId
      this.time.after(noticedMs, () => {
        const links = this.#links.get(node)
        if (links?.get(hostId) !== link) return
        links.delete(hostId)
        node.down(hostId)
        // Its dialler does not give up.
        this.#dial(link.ends[0], link.ends[1], 1_000)
      })
    }
  }
}
