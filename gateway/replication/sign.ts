/**
 * What an owner signs about its table, so that a third host may pass it on.
 *
 * Ed25519, with the key of the owner's certificate.
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { keyIdOfSpki } from '../links/tls.ts'

/** The claim that a signature is for. */
export interface Claim {
  readonly hostId: number
  readonly epoch: number
  readonly seq: number
  /** 128 random bits of this run of its gateway, hex. */
  readonly nonce: string
  /** Of the table (hash.ts), hex. */
  readonly hash: string
}

export interface Proof {
  /** Base64. */
  readonly sig: string
  /**
   * The public key as SPKI in base64. Its SHA-256 is the keyId that the membership pins, so no certificate is needed.
   */
  readonly key: string
}

export interface Signer {
  sign(claim: Claim): Proof
}

export interface Verifier {
  /** @param keyId of the owner, from the membership */
  verify(claim: Claim, proof: Proof, keyId: string): boolean
}

/**
 * One field per line, and no field can hold a newline. The first line keeps it apart from all else that a key signs.
 */
const bytesOf = (cluster: string, c: Claim): Buffer =>
  Buffer.from(['flatnet-registry/1', cluster, c.hostId, c.epoch, c.seq, c.nonce, c.hash].join('\n'))

/** @param keyPem asked anew each time: a certificate may be renewed with another key */
export function ed25519Signer(identity: () => { cluster: string; keyPem: string }): Signer {
  let pem = ''
  let privateKey: KeyObject | undefined
  let key = ''
  return {
    sign(claim) {
      const { cluster, keyPem } = identity()
      if (privateKey === undefined || keyPem !== pem) {
        pem = keyPem
        privateKey = createPrivateKey(keyPem)
        key = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64')
      }
      return { sig: sign(null, bytesOf(cluster, claim), privateKey).toString('base64'), key }
    },
  }
}

/** As `keyIdOf` a certificate. @param key SPKI in base64 */
export const keyIdOfKey = (key: string): string => keyIdOfSpki(Buffer.from(key, 'base64'))

/** An Ed25519 SPKI has 44 bytes; there is no need to look at longer ones. */
const MAX_KEY = 64
const MAX_SIG = 96

export const ed25519Verifier = (cluster: string): Verifier => ({
  verify(claim, { sig, key }, keyId) {
    if (sig.length > MAX_SIG || key.length > MAX_KEY) return false
    if (keyIdOfKey(key) !== keyId) return false
    const der = Buffer.from(key, 'base64')
    try {
      const publicKey = createPublicKey({ key: der, type: 'spki', format: 'der' })
      return verify(null, bytesOf(cluster, claim), publicKey, Buffer.from(sig, 'base64'))
    } catch {
      // Not a key, or not one of Ed25519.
      return false
    }
  },
})
