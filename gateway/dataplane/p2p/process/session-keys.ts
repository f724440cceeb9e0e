/** Owns the keys of one session: those of its attempt, and their successors every two minutes. */
import type { Millis } from '../../../../core/clock.ts'
import { type Cipher, firstKeys, type KeyOwner, nextKeys, type PeerKeys } from '../udp/crypto/key-schedule.ts'
import type { PlanePeer } from '../udp/types.ts'
import { createKeyPair } from './key-pair.ts'
import { decodeRekey, encodeRekey } from './messages.ts'
import { Rekey, type RekeyAction } from './rekey.ts'

export interface SessionKeysDeps {
  readonly owner: KeyOwner
  readonly cipher: Cipher
  /** Tests wait less than 120 s. */
  readonly rekeyEveryMs?: Millis | undefined
  sendOffer(message: Uint8Array): void
  sendAnswer(message: Uint8Array): void
  /** New keys are in use that the peer may not know of yet: a probe tells it. */
  changed(): void
  expired(): void
}

export class SessionKeys {
  readonly #deps: SessionKeysDeps
  #peer: PlanePeer | undefined
  /** The newest keys that both hosts have for sure. The next ones derive from them. */
  #keys: PeerKeys
  #waiting: PeerKeys | undefined
  #rekey: Rekey

  constructor(secret: Uint8Array, deps: SessionKeysDeps, now: Millis) {
    this.#deps = deps
    this.#keys = firstKeys(secret, deps.owner, deps.cipher)
    this.#rekey = this.#begin(now)
  }

  /** The keys to pass to `addPeer`. */
  get keys(): PeerKeys {
    return this.#keys
  }

  get nextAt(): Millis {
    return this.#rekey.nextAt
  }

  attach(peer: PlanePeer): void {
    this.#peer = peer
  }

  tick(now: Millis, isAlive: boolean): void {
    this.#act(this.#rekey.tick(now, this.#messages, isAlive))
  }

  offered(payload: Uint8Array): void {
    const message = decodeRekey(payload)
    if (message !== undefined) this.#act(this.#rekey.offered(message.epoch, message.publicKey))
  }

  answered(payload: Uint8Array, now: Millis): void {
    const message = decodeRekey(payload)
    if (message !== undefined)
      this.#act(this.#rekey.answered(message.epoch, message.publicKey, now, this.#messages))
  }

  /** The peer seals with the next keys. */
  confirmed(now: Millis): void {
    this.#keys = this.#waiting ?? this.#keys
    this.#waiting = undefined
    this.#rekey.confirmed(now, this.#messages)
  }

  /**
   * A new attempt replaces the secret.
   * @param isInUse the path carries packets, which must not stop
   */
  renew(secret: Uint8Array, isInUse: boolean, now: Millis): void {
    const { owner } = this.#deps
    this.#keys = firstKeys(secret, owner, this.#deps.cipher)
    this.#waiting = undefined
    this.#rekey = this.#begin(now)
    // The lower hostId offers, so it learns the secret last: when it seals, the higher one can open already. A path
    // that carries nothing must not wait for that: the lower host opens the keys before last for 10 s only, and through
    // a TURN server of its own it can send nothing before it has received a datagram whose key it knows.
    this.#peer?.replaceKeys(this.#keys, this.#isLower || !isInUse ? 'now' : 'heard')
    if (this.#isLower) this.#deps.changed()
  }

  get #isLower(): boolean {
    return this.#deps.owner.hostId < this.#deps.owner.peerId
  }

  get #messages(): number {
    return this.#peer?.counters.txDatagrams ?? 0
  }

  #begin(now: Millis): Rekey {
    return new Rekey(
      { isLower: this.#isLower, createKeyPair, everyMs: this.#deps.rekeyEveryMs, random: Math.random },
      now,
    )
  }

  #act(actions: readonly RekeyAction[]): void {
    for (const action of actions) {
      if (action.do === 'replace') this.#replace(action.dh, action.when)
      else if (action.do === 'expired') this.#deps.expired()
      else if (action.do === 'offer') this.#deps.sendOffer(encodeRekey(action))
      else this.#deps.sendAnswer(encodeRekey(action))
    }
  }

  #replace(dh: Uint8Array, when: 'now' | 'heard'): void {
    const keys = nextKeys(this.#keys, dh, this.#deps.owner)
    this.#peer?.replaceKeys(keys, when)
    if (when === 'heard') {
      this.#waiting = keys
      return
    }
    this.#keys = keys
    this.#waiting = undefined
    this.#deps.changed()
  }
}
