/** How long a certificate lives, when it is renewed, and when a person is warned about it. Pure. */

import { X509Certificate } from 'node:crypto'
import type { Millis } from '../../../core/clock.ts'

/** Hosts of a cluster may disagree about the time by this much before a fresh certificate is "not yet valid". */
export const SKEW: Millis = 2 * 3_600_000
const DAY: Millis = 86_400_000
/** So that hosts that joined together do not come back together. */
const JITTER = 0.05

export interface CertificateStatus {
  readonly state: 'not yet valid' | 'valid' | 'renewing' | 'expires soon' | 'expired'
  /** ISO 8601, UTC. */
  readonly validTo: string
  readonly renewsAt: string
  /** For a person; undefined while there is nothing to say. */
  readonly warning?: string
}

interface Life {
  readonly from: Millis
  readonly to: Millis
}

export function lifeOf(certPem: string): Life {
  const { validFrom, validTo } = new X509Certificate(certPem)
  // A certificate begins before it was issued, for hosts whose clocks are behind.
  return { from: Date.parse(validFrom) + SKEW, to: Date.parse(validTo) }
}

/** @param random 0 to 1, the same for one certificate */
export const renewsAt = ({ from, to }: Life, random = 0): Millis =>
  from + (to - from) * (2 / 3 - JITTER * random)

/**
 * For status and doctor: warns when renewal is overdue, while a third of the certificate's life is left to act in.
 */
export function certificateStatus(certPem: string, now: Millis): CertificateStatus {
  const life = lifeOf(certPem)
  const due = renewsAt(life)
  const texts = { validTo: new Date(life.to).toISOString(), renewsAt: new Date(due).toISOString() }
  if (now < life.from - SKEW) {
    const from = new Date(life.from).toISOString()
    return {
      ...texts,
      state: 'not yet valid',
      warning:
        `the clock of this host shows a time before its certificate was made, ${from}: ` +
        'set it right (timedatectl set-ntp true)',
    }
  }
  if (now >= life.to) {
    return {
      ...texts,
      state: 'expired',
      warning:
        `the certificate of this host expired at ${texts.validTo}; ` +
        'it renews itself when the admitting host can be reached',
    }
  }
  if (now < due) return { ...texts, state: 'valid' }
  const isLate = now > due + (life.to - due) / 4
  if (!isLate) return { ...texts, state: 'renewing' }
  const days = Math.ceil((life.to - now) / DAY)
  return {
    ...texts,
    state: 'expires soon',
    warning:
      `the certificate of this host ends in ${days} days and could not be renewed: ` +
      "is the admitting host's gateway running and reachable?",
  }
}
