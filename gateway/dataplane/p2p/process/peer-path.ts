/** Owns the path to one peer: which address is used, whether it answers, how large its datagrams may be. */
import { Errno } from 'netlink-ts/errors.ts'
import type { Millis } from '../../../../core/clock.ts'
import type { DemotionReason, SessionView } from '../protocol.ts'
import type { SendControl } from '../udp/types.ts'
import { CandidateRace } from './candidates.ts'
import { hostOf, withoutZone } from './endpoint.ts'
import { Heard } from './heard.ts'
import { decodeAnswer, decodeProbe, type Probe } from './messages.ts'
import { PathMtu } from './path-mtu.ts'
import type { PathField, PeerPathDeps } from './peer-path-deps.ts'
import { isUnreachable, ProbeDatagrams } from './probe-datagrams.ts'
import { Prober } from './prober.ts'
import type { OwnProbe, ProberAction, ProbeSize } from './prober-action.ts'
import { type Offered, RelayedAddresses } from './relayed-addresses.ts'
import { RELAY_AFTER_MS } from './turn-relays.ts'

/** The higher hostId waits this long for the lower one to choose the pair before it chooses itself. */
const HIGHER_WAITS_MS: Millis = 1_000
/** So long the lower host stays away from an address that it has just left, so that a probe can be answered. */
const LEFT_MS: Millis = 1_000

export class PeerPath {
  readonly prober: Prober
  readonly heard = new Heard()
  readonly #deps: PeerPathDeps
  readonly #race: CandidateRace
  readonly #mtu = new PathMtu(false)
  readonly #datagrams: ProbeDatagrams
  #peerLossRate: number | undefined
  #observed: string | undefined
  #left: { readonly address: string; readonly at: Millis } | undefined
  readonly #startedAt: Millis
  readonly relayed: RelayedAddresses

  constructor(deps: PeerPathDeps, now: Millis) {
    this.#deps = deps
    this.prober = new Prober(now, deps.times)
    this.relayed = new RelayedAddresses((address) => deps.relays.relayedBy(address))
    const isRelayed = (address: string): boolean => this.relayed.has(address)
    this.#race = new CandidateRace((address) => deps.isLan(address), now, isRelayed)
    this.#datagrams = new ProbeDatagrams(deps)
    this.#startedAt = now
  }

  /** The path's part of the session's view. */
  view(): Pick<SessionView, PathField> {
    const { isFullSize, isProven, trips } = this.prober
    const { counts, jitterMs, lossRate, srttMs } = trips
    return {
      isProven,
      isFullSize,
      ...this.relayed.where(this.#deps.peer.address),
      ...(srttMs !== undefined && { rttMs: srttMs }),
      ...(jitterMs !== undefined && { jitterMs }),
      lossRate,
      ...(this.#peerLossRate !== undefined && { peerLossRate: this.#peerLossRate }),
      probes: counts,
      mtu: this.#mtu.bytes,
    }
  }

  /** Whether packets can reach the peer only through a TURN server of this host, as far as is known. */
  needsRelay(now: Millis): boolean {
    const { address } = this.#deps.peer
    if (address !== undefined && this.relayed.isOwn(address)) return true
    return !this.prober.isProven && now - this.#startedAt >= RELAY_AFTER_MS
  }

  /** @param address leads through a server of this host to `there`, an address on a server of some peer */
  relayOpened(address: string, there: string, now: Millis): void {
    if (this.relayed.ofPeer.includes(there)) this.#race.seen(address, now)
  }

  /** All that the peer may send from. */
  get addresses(): string[] {
    const { address } = this.#deps.peer
    return [...this.#race.addresses, ...(address === undefined ? [] : [withoutZone(address)])]
  }

  nextAt(now: Millis): Millis {
    const hasAddress = this.#deps.peer.address !== undefined
    const usedAt = hasAddress ? Math.min(this.prober.nextAt, this.#mtu.nextAt(now)) : Number.POSITIVE_INFINITY
    return Math.min(this.#race.nextAt, usedAt)
  }

  tick(now: Millis): void {
    const used = this.#answers ? this.#deps.peer.address : undefined
    for (const { seq, address } of this.#race.tick(now, used && withoutZone(used)))
      if (isUnreachable(this.#datagrams.probe('race', seq, this.#lossRate, { to: address })))
        this.#race.unreachable(address)
    this.#choose(now)
    if (this.#deps.peer.address === undefined) return
    this.#act(
      this.prober.tick(now, () => this.#deps.isLocalFault()),
      now,
    )
    const search = this.#mtu.tick(now, this.prober.trips.patienceMs)
    if (search === undefined) return
    const pad = { padToBytes: this.#payloadOf(search.bytes) }
    const errno = this.#datagrams.probe('mtu', search.seq, this.#lossRate, pad)
    if (errno === Errno.EMSGSIZE) this.#tooLarge(search.bytes, now)
  }

  /** Begins the proof again: it does not hold for the new keys. */
  restart(now: Millis): void {
    this.#datagrams.renew()
    this.#peerLossRate = undefined
    this.prober.restart(now)
    this.#race.restart(now)
  }

  /** Keeps the path, and counts only answers from now on. */
  renew(now: Millis): void {
    this.#datagrams.renew()
    this.prober.moved(now, this.prober.trips.srttMs)
    this.#race.restart(now)
  }

  offer(candidates: readonly Offered[], now: Millis): void {
    const reachable = candidates.filter(({ address }) => this.#deps.canReach(address))
    this.relayed.offer(reachable)
    this.#race.offer(
      reachable.map(({ address }) => address),
      now,
    )
  }

  /** Probes everything at once. */
  retry(now: Millis): void {
    this.#race.restart(now)
    this.prober.probeNow(now)
  }

  /** This process stood still for a moment, which does not count as the path's delay. */
  stoodStill(ms: Millis, now: Millis): void {
    this.prober.stoodStill(ms, now)
  }

  /** This process stood still so long that answers may be lost, which does not count as the path's loss. */
  forgive(now: Millis): void {
    this.prober.forgive(now)
    this.#race.restart(now)
  }

  /** Answers to the address that the probe came from. On the path in use it also says where the peer is. */
  probed(payload: Uint8Array, from: string, now: Millis): void {
    const probe = decodeProbe(payload)
    if (probe === undefined || !this.#deps.canReach(from)) return
    const isPath = probe.kind === 'path'
    // Elsewhere an answer must not be longer than its probe, and the peer may not be there.
    const asks = isPath && probe.takesQuestion && from === this.#deps.peer.address
    const own = asks ? this.prober.alongWithAnswer(now) : undefined
    this.#answer(probe, from, now, own)
    if (probe.kind === 'race') this.#race.seen(withoutZone(from), now)
    else this.roamed(from, now)
    if (isPath && !asks) this.prober.peerProbed(now)
  }

  answered(payload: Uint8Array, from: string, now: Millis): void {
    const answer = decodeAnswer(payload)
    if (answer === undefined) return
    const { lossRate, question } = answer
    if (question !== undefined && this.#deps.canReach(from)) {
      this.#answer({ kind: 'path', ...question, lossRate }, from, now, undefined)
      this.roamed(from, now)
    }
    if (!this.#datagrams.isOwn(answer)) return
    this.heard.answer(now)
    this.#peerLossRate = lossRate
    if (answer.observed !== undefined && answer.observed !== this.#observed) {
      this.#observed = answer.observed
      this.#deps.observed(answer.observed)
    }
    if (answer.kind === 'race') {
      if (this.#race.answered(answer.seq, now)) this.#choose(now)
    } else if (answer.kind === 'mtu') {
      if (this.#mtu.answered(answer.seq, now)) this.#resize()
    } else {
      this.#mtu.open()
      this.#act(this.prober.answered(answer.seq, now), now)
    }
  }

  /** The peer sends from another address than this host sends to. */
  roamed(from: string, now: Millis): void {
    const { isLower, peer } = this.#deps
    if (from === peer.address || !this.#deps.canReach(from)) return
    // The lower hostId chooses the pair, so the higher one follows it anywhere. The lower one follows a new mapping of
    // the peer's NAT, but not to another candidate while its own choice answers: the kernel of a host with two
    // addresses may answer from either, and the two hosts would go round in circles.
    if (isLower && this.#answers && this.#race.addresses.includes(withoutZone(from))) return
    // A peer behind a NAT has two. With long round trips each of its probes would lead to the other before an answer.
    if (isLower && from === this.#left?.address && now - this.#left.at < LEFT_MS) return
    this.#use(from, undefined, now)
  }

  /** The kernel refused data for the peer. */
  refused(errno: number, now: Millis): void {
    if (errno === Errno.EMSGSIZE) this.#tooLarge(this.#mtu.bytes, now)
    else if (isUnreachable(errno)) this.#fail('unreachable', now)
  }

  get #answers(): boolean {
    return this.prober.trips.srttMs !== undefined && !this.prober.isSuspect
  }

  #choose(now: Millis): void {
    const { isLower, peer } = this.#deps
    const { address } = peer
    if (!isLower && (address !== undefined || now - this.#startedAt < HIGHER_WAITS_MS)) return
    const { isSuspect, trips } = this.prober
    const { srttMs: rttMs } = trips
    const isKnown = address !== undefined && rttMs !== undefined && !isSuspect
    const current = isKnown ? { address: withoutZone(address), rttMs } : undefined
    const choice = this.#race.choose(current, now)
    if (choice !== undefined) this.#use(choice.address, choice.rttMs, now)
  }

  #use(address: string, rttMs: Millis | undefined, now: Millis): void {
    const { peer } = this.#deps
    const before = peer.address
    if (before === address) return
    this.#left = before === undefined ? undefined : { address: before, at: now }
    peer.setAddress(address)
    // A new port of the same address is a new mapping in a NAT: the path is the same.
    if (before === undefined || hostOf(before) !== hostOf(address)) {
      this.#mtu.restart(this.#deps.isLan(address) && !this.relayed.has(address))
      if (rttMs !== undefined) this.#mtu.open()
      this.#resize()
    }
    this.prober.moved(now, rttMs)
    this.#deps.moved()
  }

  #act(actions: readonly ProberAction[], now: Millis): void {
    for (const action of actions) {
      if (action.do === 'send') {
        const errno = this.#datagrams.probe('path', action.seq, this.#lossRate, this.#padding(action.size))
        this.#sent(action, errno, now)
      } else if (action.do === 'blackHole') {
        if (!action.isBaseLost && this.#mtu.blackHole(now)) this.#resize()
        else this.#fail('no answer', now)
      } else if (action.what === 'lost') this.#lose('no answer', now)
      else this.#deps.judged(action.what)
    }
  }

  /** A path that never answered cannot fail: otherwise each of its probes would begin a race. */
  #fail(reason: DemotionReason, now: Millis): void {
    const hadAnswers = this.prober.isProven || this.prober.trips.srttMs !== undefined
    this.prober.fail(now)
    if (hadAnswers) this.#lose(reason, now)
  }

  #lose(reason: DemotionReason, now: Millis): void {
    this.#peerLossRate = undefined
    this.#race.restart(now)
    this.#deps.relays.pathLost()
    this.#deps.lost(reason)
  }

  #tooLarge(bytes: number, now: Millis): void {
    if (this.#mtu.refused(bytes, now)) this.#resize()
  }

  #resize(): void {
    this.#deps.peer.setSegmentBytes(this.#payloadOf(this.#mtu.bytes))
    this.prober.resized()
    this.#deps.moved()
  }

  #payloadOf(mtu: number): number {
    return mtu - this.relayed.overhead(this.#deps.peer.address ?? '')
  }

  get #lossRate(): number {
    return this.prober.trips.lossRate
  }

  /** @param own goes along */
  #answer(probe: Probe, from: string, now: Millis, own: OwnProbe | undefined): void {
    this.heard.probe(now)
    this.#peerLossRate = probe.lossRate
    const says = { lossRate: this.#lossRate, observed: this.relayed.peerAt(from) }
    const errno = own && this.#datagrams.answer(probe, { ...says, ask: own.seq }, this.#padding(own.size))
    if (own === undefined || errno !== 0) this.#datagrams.answer(probe, says, { to: from })
    if (own !== undefined && errno !== undefined) this.#sent(own, errno, now)
  }

  #padding(size: ProbeSize): SendControl {
    return size === 'small' ? {} : { padToBytes: this.#payloadOf(this.#mtu.bytesOf(size)) }
  }

  #sent({ size }: OwnProbe, errno: number, now: Millis): void {
    if (errno === Errno.EMSGSIZE) this.#tooLarge(this.#mtu.bytesOf(size), now)
    else if (isUnreachable(errno)) this.#fail('unreachable', now)
  }
}
