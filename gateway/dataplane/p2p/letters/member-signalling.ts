/**
 * Agrees on UDP with hosts that no link and no relay leads to: by letters that members carry.
 *
 * Each letter says which one of the peer it follows and after how long, so both know the round trip of the way.
 */

import type { Millis } from '../../../../core/clock.ts'
import { isObject, isPositiveInteger } from '../../../../core/json.ts'
import type { Log } from '../../../../core/log.ts'
import { Listeners } from '../../../base/listeners.ts'
import type { Scheduler } from '../../../base/scheduler.ts'
import type { ControlMessage, Identity } from '../../../links/types.ts'
import { KeyExchange, type Try } from './exchange.ts'
import { type LetterCount, LetterForwarder } from './forwarder.ts'
import { HealWatch } from './heal-watch.ts'
import { Hello } from './hello.ts'
import { type Letter, openLetter, whyRefused, writeLetter } from './letter.ts'
import { measure } from './measure.ts'

const LOOK_MS: Millis = 200
/** Letters of which the answer may still come. */
const MAX_SENT = 32
/** So long without a newer one, a host that counts from a lower number is one whose clock was put back. */
const CLOCK_BACK_MS: Millis = 60_000

export interface MemberSignallingDeps {
  readonly hostId: number
  /** paths.tiers.punch: whether letters are carried, others' as well. */
  readonly enabled: boolean
  /** Whether this host uses UDP itself. */
  readonly usesUdp: boolean
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly log: Log
  identity(): Identity
  /** The end of this host's certificate, ms since the epoch. */
  validTo(): Millis
  /** Public key of a member that is not kept out (SPKI, DER); undefined: it has announced none. */
  spkiOf(hostId: number): Buffer | undefined
  /** Others than this host. */
  members(): readonly number[]
  /** Whether a link or a relay leads there, or is about to. */
  isConnected(hostId: number): boolean
  /** Members that a link stands to. */
  linked(): readonly number[]
  /** Whether one of them says that it carries letters. */
  takesLetters(hostId: number): boolean
  /** Of those, the ones that say they have a link to the host. */
  leadingTo(hostId: number): readonly number[]
  send(hostId: number, message: ControlMessage): boolean
  count(what: LetterCount, reason?: string): void
}

export interface MemberSignallingEvents {
  up(hostId: number): void
  down(hostId: number): void
  message(hostId: number, message: ControlMessage): void
}

interface Peer {
  readonly hello: Hello
  readonly exchange: KeyExchange
  isOpen: boolean
  /** Its newest letter. */
  heard?: { readonly seq: number; readonly at: Millis }
  /** When letters to it went, by seq, the newest last. */
  readonly sent: Map<number, Millis>
  rttMs?: Millis
  validTo?: Millis
}

/** What is sealed in a letter. */
interface Content {
  /** Absent: a call, or the answer to one. */
  readonly message?: ControlMessage
  readonly isCall?: boolean
}

export class MemberSignalling {
  readonly #deps: MemberSignallingDeps
  readonly #forwarder: LetterForwarder
  readonly #peers = new Map<number, Peer>()
  readonly #up = new Listeners<[hostId: number]>()
  readonly #down = new Listeners<[hostId: number]>()
  readonly #message = new Listeners<[hostId: number, message: ControlMessage]>()
  readonly #healing = new HealWatch()
  #seq = 0
  #stop = (): void => {}

  constructor(deps: MemberSignallingDeps) {
    this.#deps = deps
    const { identity, scheduler, spkiOf } = deps
    this.#forwarder = new LetterForwarder({
      ...deps,
      whyRefused: (letter) =>
        whyRefused(letter, { cluster: identity().cluster, spki: spkiOf(letter.from), now: scheduler.now() }),
      arrived: (letter) => this.#arrived(letter),
    })
  }

  /** @returns how to stop listening */
  listen(events: MemberSignallingEvents): () => void {
    const stops = [
      this.#up.add((hostId) => events.up(hostId)),
      this.#down.add((hostId) => events.down(hostId)),
      this.#message.add((hostId, message) => events.message(hostId, message)),
    ]
    return () => stops.forEach((stop) => void stop())
  }

  start(): void {
    const { enabled, random, scheduler, usesUdp } = this.#deps
    if (enabled && usesUdp) this.#stop = scheduler.every(LOOK_MS, () => this.#look(), random)
  }

  stop(): void {
    this.#stop()
  }

  /** A link to some member came up, or (`isOrdered`) a person asked. */
  callAgain(isOrdered = false): void {
    const now = this.#deps.scheduler.monotonic()
    for (const { hello } of this.#peers.values()) hello.afresh(now, isOrdered)
  }

  /** Members report a link to a host, and none did before. */
  wayFound(hostId: number): void {
    const { enabled, hostId: own, scheduler, usesUdp } = this.#deps
    if (enabled && usesUdp && hostId !== own) this.#healing.found(hostId, scheduler.monotonic())
  }

  /** A letter of a linked member, for this host or another one. */
  receive(peerId: number, message: ControlMessage): void {
    if (this.#deps.enabled) this.#forwarder.receive(peerId, message)
    else this.#deps.count('refused', 'switched off')
  }

  has(hostId: number): boolean {
    return this.#peers.get(hostId)?.isOpen === true
  }

  /** @returns false: it went nowhere */
  send(hostId: number, message: ControlMessage): boolean {
    const { exchange } = this.#peer(hostId)
    const { attempt = '', generation = 0 } = message as { attempt?: string; generation?: number }
    const { type } = message
    const key =
      type === 'p2p.offer'
        ? exchange.offer({ attempt, generation })
        : type === 'p2p.answer'
          ? exchange.answer(attempt)
          : undefined
    const withKey = key === undefined ? message : { ...message, key: key.toString('base64') }
    return this.#post(hostId, { message: withKey })
  }

  exportKey(hostId: number, bytes: number, label: string, context: Buffer): Buffer | undefined {
    const { hostId: own, identity, spkiOf } = this.#deps
    const both = [own, hostId].sort((a, b) => a - b)
    const binding = [identity().cluster, ...both.map((id) => `${id} ${spkiOf(id)?.toString('base64')}`)]
    return this.#peers.get(hostId)?.exchange.export(bytes, label, context, JSON.stringify(binding))
  }

  /** In its own words, which it has signed: its certificate is not shown without a connection. */
  peerValidTo(hostId: number): Millis | undefined {
    return this.#peers.get(hostId)?.validTo
  }

  /** Of letters to the host and back; undefined: not measured yet. */
  rttMs(hostId: number): Millis | undefined {
    return this.#peers.get(hostId)?.rttMs
  }

  #look(): void {
    const { isConnected, linked, members, scheduler, takesLetters } = this.#deps
    const now = scheduler.monotonic()
    const met = linked()
    const hasCarriers = met.some(takesLetters)
    if (this.#healing.isBack(met, now)) for (const { hello } of this.#peers.values()) hello.once(now)
    const all = new Set(members())
    for (const hostId of this.#peers.keys()) if (!all.has(hostId)) this.#forget(hostId)
    for (const hostId of all) {
      const { hello } = this.#peer(hostId)
      hello.look(!isConnected(hostId), now)
      this.#decide(hostId)
      if (!hasCarriers || !hello.isDue(now) || !this.#forwarder.mayCall) continue
      hello.called(now)
      this.#post(hostId, { isCall: true })
    }
  }

  #forget(hostId: number): void {
    const wasOpen = this.has(hostId)
    this.#peers.delete(hostId)
    if (wasOpen) this.#down.call(hostId)
  }

  #decide(hostId: number): void {
    const peer = this.#peer(hostId)
    const isOpen = peer.hello.isOpen(this.#deps.scheduler.monotonic())
    if (isOpen === peer.isOpen) return
    peer.isOpen = isOpen
    const { log } = this.#deps
    if (isOpen) log.info({ peer: hostId }, 'host was reached by letters, as it has no link')
    else log.info({ peer: hostId }, 'letters to a host were given up')
    if (isOpen) this.#up.call(hostId)
    else this.#down.call(hostId)
  }

  #post(hostId: number, content: Content): boolean {
    const { identity, scheduler, spkiOf, validTo } = this.#deps
    const toSpki = spkiOf(hostId)
    if (toSpki === undefined) return false
    const peer = this.#peer(hostId)
    const at = Math.floor(scheduler.now())
    const now = scheduler.monotonic()
    const seq = Math.max(this.#seq + 1, at)
    this.#seq = seq
    const follows = peer.heard && { seq: peer.heard.seq, afterMs: Math.round(now - peer.heard.at) }
    const letter = writeLetter(
      identity(),
      { to: hostId, toSpki, seq, at },
      { ...content, follows, validTo: validTo() },
    )
    if (letter === undefined) return false
    peer.sent.set(seq, now)
    const [oldest] = peer.sent.keys()
    if (peer.sent.size > MAX_SENT && oldest !== undefined) peer.sent.delete(oldest)
    return this.#forwarder.post(letter)
  }

  #arrived(letter: Letter): void {
    const { count, identity, log, members, scheduler, usesUdp } = this.#deps
    if (!usesUdp) return
    const { from, seq } = letter
    const content = members().includes(from) ? openLetter(identity(), letter) : undefined
    if (content === undefined) {
      count('refused', 'not opened')
      log.debug({ peer: from }, 'letter of a member cannot be opened')
      return
    }
    const now = scheduler.monotonic()
    const peer = this.#peer(from)
    const { heard } = peer
    if (heard === undefined || seq > heard.seq || now - heard.at > CLOCK_BACK_MS)
      peer.heard = { seq, at: now }
    // A host that has, or is about to have, a better way says nothing: the other one calls again.
    if (!peer.isOpen && !peer.hello.isAlone(now)) return
    const { validTo } = content
    if (isPositiveInteger(validTo)) peer.validTo = validTo
    const isAnswer = measure(peer, content['follows'], now)
    peer.hello.heard(now)
    if (content['isCall'] === true) this.#post(from, {})
    this.#decide(from)
    const { message } = content
    if (!isObject(message) || typeof message['type'] !== 'string' || !this.has(from)) return
    // A call begins nothing; an offer of yesterday would end the path that today's has made.
    if (isAnswer) this.#read(from, message as unknown as ControlMessage)
    else count('refused', 'late')
  }

  #read(hostId: number, message: ControlMessage): void {
    const { exchange } = this.#peer(hostId)
    const { type, key } = message
    const of = tryOf(message)
    // What names no try is refused where messages are judged.
    if (of !== undefined && (type === 'p2p.offer' || type === 'p2p.answer')) {
      const peerKey = typeof key === 'string' ? Buffer.from(key, 'base64') : Buffer.alloc(0)
      const isKey =
        type === 'p2p.offer' ? exchange.offered(of, peerKey) : exchange.answered(of.attempt, peerKey)
      if (!isKey) {
        this.#deps.count('refused', 'no key')
        return
      }
    }
    this.#message.call(hostId, message)
  }

  #peer(hostId: number): Peer {
    const peer = this.#peers.get(hostId) ?? {
      hello: new Hello(),
      exchange: new KeyExchange(),
      isOpen: false,
      sent: new Map<number, Millis>(),
    }
    this.#peers.set(hostId, peer)
    return peer
  }
}

/** An answer has no generation. */
function tryOf({ attempt, generation = 0 }: ControlMessage): Try | undefined {
  const isName = typeof attempt === 'string' && /^[0-9a-f]{16}$/.test(attempt)
  return isName && Number.isSafeInteger(generation) ? { attempt, generation: Number(generation) } : undefined
}
