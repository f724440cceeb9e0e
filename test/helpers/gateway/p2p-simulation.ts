/** Hosts with fake P2P processes on a fake clock, which run hours of an escalation in milliseconds. */

import { adopt, escalate } from '../../../gateway/paths/escalation/escalation.ts'
import type { P2pReason } from '../../../gateway/paths/escalation/reasons.ts'
import { initial } from '../../../gateway/paths/escalation/transitions.ts'
import type {
  Action,
  Escalation,
  EscalationFacts,
  GatewayPathFacts,
  Input,
  PeerMessage,
  SessionFacts,
} from '../../../gateway/paths/escalation/types.ts'
import { seeded } from '../sim/network.ts'

/** The present state of UDP between two hosts. */
export interface Cable {
  /** Share of lost datagrams, from the lower hostId and to it. */
  lossOut: number
  lossBack: number
  rttMs: number
  jitterMs: number
  /** Only small datagrams get through. */
  isNarrow: boolean
  bps: number
}

/** How often each fake process probes while packets pass, and how often the facts are read. */
export const STEP_MS = 250

interface Session {
  readonly attempt: string
  generation: number
  isPromoted: boolean
  isProven: boolean
  window: boolean[]
  sent: number
  answered: number
  srttMs?: number | undefined
}

const lossOf = (window: readonly boolean[]): number =>
  window.length === 0 ? 0 : window.filter((ok) => !ok).length / window.length

export class Side {
  state: Escalation
  session: Session | undefined
  obstacle: P2pReason | undefined
  gateway: GatewayPathFacts = { isUp: true, rttMs: 5 }
  promotions = 0
  demotions: string[] = []
  offers = 0
  probes = 0
  /** Plays an older version, which knows no `p2p.` messages. */
  isDeaf = false
  readonly inbox: PeerMessage[] = []
  readonly #pair: Pair
  readonly #isLeader: boolean

  constructor(pair: Pair, isLeader: boolean) {
    this.#pair = pair
    this.#isLeader = isLeader
    this.state = initial(0)
  }

  facts(): EscalationFacts {
    const { now, random, canSignal } = this.#pair
    return {
      now,
      random: random(),
      newAttempt: Math.floor(random() * 2 ** 48)
        .toString(16)
        .padStart(16, '0'),
      isLeader: this.#isLeader,
      obstacle: this.obstacle,
      canSignal,
      gateway: this.gateway,
      session: this.#sessionFacts(),
    }
  }

  give(input: Input): void {
    const before = this.state.phase
    const { state, actions } = escalate(this.state, input, this.facts())
    this.state = state
    if (before !== 'active' && state.phase === 'active') this.promotions++
    if (before === 'active' && state.phase !== 'active') this.demotions.push(state.reason.code)
    for (const action of actions) this.#do(action)
  }

  /** Restarts the gateway, which then knows nothing. */
  restartGateway(): void {
    const session = this.#sessionFacts()
    this.state = session === undefined ? initial(this.#pair.now) : adopt(session, this.facts())
    this.give({ type: 'linkUp' })
  }

  /** Does as `flatnet p2p`: probes in each step, and demotes when a burst of three is lost too. */
  probe(): void {
    const { session } = this
    if (session === undefined) return
    const peer = this.#pair.peerOf(this)
    const pass = (): boolean => peer.session?.attempt === session.attempt && this.#pair.passes(this)
    const isAnswered = pass()
    session.window = [...session.window, isAnswered].slice(-40)
    session.sent++
    if (isAnswered) {
      const { rttMs } = this.#pair.cable
      session.answered++
      // RFC 6298, as the process does.
      session.srttMs = session.srttMs === undefined ? rttMs : session.srttMs + (rttMs - session.srttMs) / 8
    }
    const isDead = !isAnswered && ![pass(), pass(), pass()].includes(true)
    const isRow = session.window.length >= 5 && !session.window.slice(-5).includes(false)
    session.isProven = !isDead && !this.#pair.cable.isNarrow && (session.isProven || isRow)
    if (isDead) {
      session.window = []
      session.srttMs = undefined
    }
    if (!isDead || !session.isPromoted || !this.gateway.isUp) return
    session.isPromoted = false
    this.give({ type: 'removed', attempt: session.attempt, reason: 'no answer' })
  }

  #sessionFacts(): SessionFacts | undefined {
    const { session } = this
    if (session === undefined) return undefined
    const { cable } = this.#pair
    const { window, sent, answered } = session
    const isFullSize = !cable.isNarrow
    const peer = this.#pair.peerOf(this).session
    return {
      attempt: session.attempt,
      generation: session.generation,
      isPromoted: session.isPromoted,
      isProven: session.isProven,
      isFullSize,
      address: '192.0.2.2:7443',
      ...(session.srttMs !== undefined && { rttMs: session.srttMs, jitterMs: cable.jitterMs }),
      lossRate: lossOf(window),
      ...(peer !== undefined && answered > 0 && { peerLossRate: lossOf(peer.window) }),
      probes: { sent, answered, window: window.length },
      txBps: cable.bps,
      rxBps: cable.bps,
    }
  }

  #do(action: Action): void {
    const { session } = this
    switch (action.type) {
      case 'send':
        if (action.message.type === 'p2p.offer') this.offers++
        this.#pair.peerOf(this).inbox.push(action.message)
        return
      case 'startSession':
        this.session = {
          attempt: action.attempt,
          generation: 0,
          isPromoted: false,
          isProven: false,
          window: [],
          sent: 0,
          answered: 0,
        }
        return
      case 'install':
        if (session?.attempt !== action.attempt) return
        session.isPromoted = true
        session.generation = action.generation
        this.give({ type: 'installed', attempt: action.attempt })
        return
      case 'remove':
        if (session !== undefined) session.isPromoted = false
        return
      case 'endSession':
        this.session = undefined
        return
      case 'probeNow':
        this.probes++
    }
  }
}

export class Pair {
  now = 0
  stepMs = STEP_MS
  canSignal = true
  readonly cable: Cable = { lossOut: 0, lossBack: 0, rttMs: 5, jitterMs: 0.5, isNarrow: false, bps: 0 }
  readonly random: () => number
  readonly leader: Side
  readonly follower: Side

  constructor(seed = 1) {
    this.random = seeded(seed)
    this.leader = new Side(this, true)
    this.follower = new Side(this, false)
  }

  peerOf(side: Side): Side {
    return side === this.leader ? this.follower : this.leader
  }

  /** Whether a round trip of this side gets through. */
  passes(_side: Side): boolean {
    const { lossOut, lossBack } = this.cable
    return this.random() >= lossOut && this.random() >= lossBack
  }

  set loss(rate: number) {
    this.cable.lossOut = rate
    this.cable.lossBack = rate
  }

  /** @param each called at each step */
  run(ms: number, each?: () => void): this {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += this.stepMs
      each?.()
      for (const side of [this.leader, this.follower]) {
        side.probe()
        side.give({ type: 'tick' })
      }
      this.#deliver()
    }
    return this
  }

  /** Until both stand, or the time is over. @returns how long it took */
  until(phases: string, withinMs: number): number {
    const from = this.now
    while (this.phases !== phases && this.now - from < withinMs) this.run(this.stepMs)
    return this.now - from
  }

  get phases(): string {
    return `${this.leader.state.phase} ${this.follower.state.phase}`
  }

  /** Both directions until none is left: a message takes less than a step. */
  #deliver(): void {
    for (let more = true; more; ) {
      more = false
      for (const side of [this.leader, this.follower]) {
        const messages = side.inbox.splice(0)
        if (!this.canSignal || side.isDeaf) continue
        for (const message of messages) {
          more = true
          side.give({ type: 'message', message })
        }
      }
    }
  }
}
