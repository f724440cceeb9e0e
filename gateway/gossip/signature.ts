/** Signs with a host's key what other members carry, and checks it. */

import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { Identity } from '../links/types.ts'

/** @returns base64 */
export const signatureOf = (text: Buffer, { keyPem }: Pick<Identity, 'keyPem'>): string =>
  sign(null, text, createPrivateKey(keyPem)).toString('base64')

/** @param spki public key, DER. @param signature base64 */
export function isSignedBy(spki: Buffer, text: Buffer, signature: string): boolean {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    return verify(null, text, key, Buffer.from(signature, 'base64'))
  } catch {
    // The member announced a key that none can use: as good as no signature.
    return false
  }
}
