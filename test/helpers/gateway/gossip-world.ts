/** Members that pass messages on, on a simulated network. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { silentLog } from '../../../core/log.ts'
import {
  type Envelope,
  keyOf,
  openEnvelope,
  whyRefused,
  writeEnvelope,
} from '../../../gateway/gossip/envelope.ts'
import { Spread } from '../../../gateway/gossip/spread.ts'
import { type Kept, type MessageDisk, MessageStore } from '../../../gateway/gossip/store.ts'
import type { ControlMessage, Identity } from '../../../gateway/links/types.ts'
import { SimNetwork, type SimNode, SimTime, seeded } from '../sim/network.ts'

export const CLUSTER = 'k3'
const WALL = 1_795_000_000_000

export interface TestIdentity {
  readonly identity: Identity
  readonly spki: Buffer
  readonly keyId: string
}

export function identityOf(hostId: number): TestIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return {
    identity: { cluster: CLUSTER, hostId, caPem: '', certPem: '', keyPem },
    spki,
    keyId: createHash('sha256').update(spki).digest('hex'),
  }
}

/** A disk that lives as long as the test. */
export function memoryDisk(): MessageDisk & { readonly files: Map<string, Kept> } {
  const files = new Map<string, Kept>()
  return {
    files,
    load: () => [...files.values()],
    save: (key, kept) => void files.set(key, kept),
    remove: (key) => void files.delete(key),
  }
}

export class GossipHost implements SimNode {
  readonly hostId: number
  readonly me: TestIdentity
  readonly disk = memoryDisk()
  readonly got: { readonly from: number; readonly text: string; readonly at: number }[] = []
  readonly refused: string[] = []
  /** By how much this host's clock is wrong, ms. */
  clockAhead = 0
  readonly #world: GossipWorld
  #linked = new Set<number>()
  store!: MessageStore
  spread!: Spread

  constructor(world: GossipWorld, hostId: number) {
    this.#world = world
    this.hostId = hostId
    this.me = identityOf(hostId)
    this.start()
  }

  /** Also after a crash: only the disk is left. */
  start(): void {
    const { net, time } = this.#world
    this.#linked = new Set()
    const scheduler = time.scheduler(() => WALL + this.clockAhead)
    this.store = new MessageStore(this.disk)
    this.spread = new Spread({
      hostId: this.hostId,
      store: this.store,
      scheduler,
      random: net.random,
      log: silentLog,
      linked: () => [...this.#linked],
      send: (hostId, message) => net.send(this, hostId, message),
      whyRefused: (envelope) =>
        whyRefused(envelope, {
          cluster: CLUSTER,
          keyId: this.#world.hosts.get(envelope.from)?.me.keyId,
          now: scheduler.now(),
        }),
      isTaken: () => true,
      arrived: (envelope) => this.#arrived(envelope),
      count: (_what, reason) => reason !== undefined && this.refused.push(reason),
    })
    this.spread.start()
    scheduler.every(60_000, () => this.store.sweep(scheduler.now()))
  }

  up(hostId: number): void {
    this.#linked.add(hostId)
    this.spread.linkUp(hostId)
  }

  down(hostId: number): void {
    this.#linked.delete(hostId)
    this.spread.linkDown(hostId)
  }

  receive(hostId: number, message: ControlMessage): void {
    this.spread.receive(hostId, message)
  }

  write(
    to: number,
    text: string | Buffer,
    part: { kind?: Envelope['kind']; re?: number; lifeMs?: number } = {},
  ): Envelope {
    const { time, hosts } = this.#world
    const now = WALL + this.clockAhead + time.now
    const seq = Math.max(this.store.highest(this.hostId) + 1, Math.floor(now))
    const toSpki = hosts.get(to)!.me.spki
    const letter = { to, toSpki, kind: 'request', plain: Buffer.from(text), ...part } as const
    return writeEnvelope(this.me.identity, letter, seq, now)
  }

  /** Writes and sends. @returns what `post` says */
  say(to: number, text: string | Buffer): string | undefined {
    return this.spread.post(this.write(to, text))
  }

  #arrived(envelope: Envelope): void {
    const text = openEnvelope(this.me.identity, envelope)?.toString() ?? `cannot open ${keyOf(envelope)}`
    this.got.push({ from: envelope.from, text, at: this.#world.time.now })
  }
}

export class GossipWorld {
  readonly time = new SimTime()
  readonly net: SimNetwork
  readonly hosts = new Map<number, GossipHost>()

  /** @param links pairs of hostIds that reach each other at first */
  constructor(count: number, links: readonly (readonly [number, number])[], seed = 1) {
    this.net = new SimNetwork(this.time, seeded(seed), { isSerialized: true })
    this.connect(links)
    for (let hostId = 1; hostId <= count; hostId++) this.hosts.set(hostId, new GossipHost(this, hostId))
    for (const host of this.hosts.values()) this.net.add(host)
    this.time.run(6_000)
  }

  host(hostId: number): GossipHost {
    return this.hosts.get(hostId)!
  }

  /** Only these pairs reach each other from now on. */
  connect(links: readonly (readonly [number, number])[]): void {
    const all = new Set(links.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]))
    this.net.allow((a, b) => all.has(`${a.hostId} ${b.hostId}`))
  }
}
