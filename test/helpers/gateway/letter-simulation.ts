/** Gateways that carry each other's letters about UDP paths, with links that a test makes, in virtual time. */
import { silentLog } from '../../../core/log.ts'
import { CARRY } from '../../../gateway/dataplane/p2p/letters/forwarder.ts'
import type { Letter } from '../../../gateway/dataplane/p2p/letters/letter.ts'
import {
  MemberSignalling,
  type MemberSignallingDeps,
} from '../../../gateway/dataplane/p2p/letters/member-signalling.ts'
import type { ControlMessage } from '../../../gateway/links/types.ts'
import { SimTime, seeded } from '../sim/network.ts'
import { identityOf, type TestIdentity } from './gossip-world.ts'

const WALL = 1_795_000_000_000

export class LetterHost {
  readonly hostId: number
  readonly me: TestIdentity
  readonly memberSignalling: MemberSignalling
  readonly #world: LetterSimulation
  readonly #part: Partial<MemberSignallingDeps>
  readonly told: string[] = []
  readonly got: ControlMessage[] = []
  readonly counts: string[] = []
  /** Every letter that came here, to be sent again. */
  readonly letters: Letter[] = []
  /** By how much this host's clock is wrong, ms. */
  clockAhead = 0

  constructor(
    world: LetterSimulation,
    hostId: number,
    part: Partial<MemberSignallingDeps>,
    me = identityOf(hostId),
  ) {
    this.#world = world
    this.#part = part
    this.hostId = hostId
    this.me = me
    this.memberSignalling = new MemberSignalling({
      hostId,
      enabled: true,
      usesUdp: true,
      scheduler: world.time.scheduler(() => WALL + this.clockAhead),
      random: seeded(hostId),
      log: silentLog,
      identity: () => this.me.identity,
      validTo: () => WALL + 1_000_000 + hostId,
      spkiOf: (id) => world.hosts.get(id)?.me.spki,
      members: () => [...world.hosts.keys()].filter((id) => id !== hostId),
      isConnected: (id) => world.isLinked(hostId, id),
      linked: () => world.linked(hostId),
      takesLetters: () => true,
      leadingTo: (id) => world.linked(hostId).filter((member) => world.isLinked(member, id)),
      send: (to, message) => world.send(hostId, to, message),
      count: (what, reason) => void this.counts.push(reason === undefined ? what : `${what} ${reason}`),
      ...part,
    })
    this.memberSignalling.listen({
      up: (id) => void this.told.push(`up ${id}`),
      down: (id) => void this.told.push(`down ${id}`),
      message: (_id, message) => void this.got.push(message),
    })
  }

  /** @returns the gateway of the same host after it was started anew, which knows nothing of before */
  restart(): LetterHost {
    this.memberSignalling.stop()
    const again = new LetterHost(this.#world, this.hostId, this.#part, this.me)
    again.clockAhead = this.clockAhead
    this.#world.hosts.set(this.hostId, again)
    again.memberSignalling.start()
    return again
  }

  refused(reason: string): number {
    return this.counts.filter((count) => count === `refused ${reason}`).length
  }

  count(what: string): number {
    return this.counts.filter((count) => count === what).length
  }
}

export class LetterSimulation {
  readonly time = new SimTime()
  readonly hosts = new Map<number, LetterHost>()
  readonly delayMs: number
  #links = new Set<string>()

  constructor(
    count: number,
    links: readonly (readonly [number, number])[],
    part: (hostId: number) => Partial<MemberSignallingDeps> = () => ({}),
    delayMs = 5,
  ) {
    this.delayMs = delayMs
    for (let id = 1; id <= count; id++) this.hosts.set(id, new LetterHost(this, id, part(id)))
    this.connect(links)
    for (const { memberSignalling } of this.hosts.values()) memberSignalling.start()
  }

  /** Only these pairs have a link from now on. */
  connect(links: readonly (readonly [number, number])[]): void {
    this.#links = new Set(links.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]))
    for (const { memberSignalling } of this.hosts.values()) memberSignalling.callAgain()
  }

  /** As `connect`, with what hosts hear of it: who has a new link, and who is led somewhere by members again. */
  relink(links: readonly (readonly [number, number])[]): void {
    const before = this.#links
    const led = new Map([...this.hosts.keys()].map((id) => [id, new Set(this.#ledTo(id))]))
    this.#links = new Set(links.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]))
    for (const pair of this.#links) {
      const [id = 0] = pair.split(' ').map(Number)
      if (!before.has(pair)) this.host(id).memberSignalling.callAgain()
    }
    // Members report their links 0.1 s after a change.
    this.time.after(100, () => {
      for (const [id, { memberSignalling }] of this.hosts)
        for (const found of this.#ledTo(id))
          if (led.get(id)?.has(found) !== true) memberSignalling.wayFound(found)
    })
  }

  #ledTo(hostId: number): number[] {
    return this.linked(hostId).flatMap((member) => this.linked(member))
  }

  host(hostId: number): LetterHost {
    return this.hosts.get(hostId)!
  }

  isLinked = (a: number, b: number): boolean => this.#links.has(`${a} ${b}`)

  linked = (hostId: number): number[] => [...this.hosts.keys()].filter((id) => this.isLinked(hostId, id))

  send(from: number, to: number, message: ControlMessage): boolean {
    if (!this.isLinked(from, to)) return false
    const copy = JSON.parse(JSON.stringify(message)) as ControlMessage
    this.time.after(this.delayMs, () => {
      this.host(to).letters.push(copy['letter'] as Letter)
      this.host(to).memberSignalling.receive(from, copy)
    })
    return true
  }

  /** A member hands a letter to the next one. */
  hand(from: number, to: number, letter: unknown, hops = 1): void {
    this.host(to).memberSignalling.receive(from, { type: CARRY, hops, letter })
  }
}
