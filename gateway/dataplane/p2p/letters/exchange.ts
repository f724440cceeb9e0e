/**
 * Makes the keys of a try from X25519 keys that live as long as the try begins: a host key that is stolen later opens
 * no old packets.
 */

import { createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto'

const KEY_BYTES = 32
/** RFC 8410: what stands before the 32 bytes of a key. */
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex')

/** The try that the keys are for. */
export interface Try {
  readonly attempt: string
  readonly generation: number
}

interface Begun extends Try {
  readonly privateKey: KeyObject
  readonly publicKey: Buffer
}

interface Agreed extends Try {
  readonly shared: Buffer
  /** Both ends' public keys, that of the offer first. */
  readonly keys: Buffer
}

const rawOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-KEY_BYTES)

function begin({ attempt, generation }: Try): Begun {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return { attempt, generation, privateKey, publicKey: rawOf(publicKey) }
}

/** @returns undefined: the peer's key is none, or one that makes every secret the same (RFC 7748 6.1) */
function sharedWith({ privateKey }: Begun, peer: Buffer): Buffer | undefined {
  if (peer.length !== KEY_BYTES) return undefined
  try {
    const key = Buffer.concat([X25519_SPKI, peer])
    return diffieHellman({ privateKey, publicKey: createPublicKey({ key, format: 'der', type: 'spki' }) })
  } catch {
    // OpenSSL refuses a result of zeros.
    return undefined
  }
}

/** One peer's. Only the newest try counts. */
export class KeyExchange {
  #begun: Begun | undefined
  #agreed: Agreed | undefined
  #answer: Buffer | undefined

  /** Leader. @returns its key for the offer */
  offer(of: Try): Buffer {
    this.#begun = begin(of)
    this.#agreed = undefined
    return this.#begun.publicKey
  }

  /** Follower: an offer came. @returns whether its key is one */
  offered(of: Try, peer: Buffer): boolean {
    const own = begin(of)
    const shared = sharedWith(own, peer)
    if (shared === undefined) return false
    this.#agreed = { ...of, shared, keys: Buffer.concat([peer, own.publicKey]) }
    this.#answer = own.publicKey
    return true
  }

  /** Follower: its key for the answer; undefined: there was no offer of that try. */
  answer(attempt: string): Buffer | undefined {
    return this.#agreed?.attempt === attempt ? this.#answer : undefined
  }

  /** Leader: an answer came. @returns whether its key is one, and of the try under way */
  answered(attempt: string, peer: Buffer): boolean {
    const own = this.#begun
    const shared = own?.attempt === attempt ? sharedWith(own, peer) : undefined
    if (own === undefined || shared === undefined) return false
    const { generation, publicKey } = own
    this.#agreed = { attempt, generation, shared, keys: Buffer.concat([publicKey, peer]) }
    this.#begun = undefined
    return true
  }

  /**
   * As a TLS connection's exporter: both ends get the same bytes for the same label and context.
   * @param binding what else both know of each other: cluster, and both hosts' numbers and identity keys
   */
  export(bytes: number, label: string, context: Buffer, binding: string): Buffer | undefined {
    if (this.#agreed === undefined) return undefined
    const { attempt, generation, keys, shared } = this.#agreed
    const parts = [Buffer.from(label), context, Buffer.from(`${attempt} ${generation}`), Buffer.from(binding)]
    const info = Buffer.concat(parts.flatMap((part) => [lengthOf(part), part]))
    return Buffer.from(hkdfSync('sha256', shared, keys, info, bytes))
  }
}

/** Before each part, so that no two lists of parts are the same bytes. */
function lengthOf(part: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(part.length)
  return length
}
