/**
 * Which run of a host's gateway to believe. Pure: what is known and what is claimed in, judgement out.
 *
 * A run has a random nonce and keeps it; a restart has another and, by its disk, its clock or its peers, a higher
 * epoch.
 */

export interface Incarnation {
  readonly epoch: number
  readonly nonce: string
}

export interface Known extends Incarnation {
  /** Nonces of runs that a later one has replaced, the newest last. */
  readonly superseded: readonly string[]
}

export type Judgement =
  /** The run that is known. */
  | 'same'
  /** A new run, or the known one under a higher epoch: its table replaces the old one. */
  | 'next'
  /** It does not know of a later epoch: an old snapshot, a lost disk. It is shown the proof and raises its epoch. */
  | 'stale'
  /** A run that was replaced is alive: two machines use one identity. */
  | 'clone'

/**
 * With more restarts than this between two messages of an older run, that run cannot be distinguished from a clone.
 * Such a host has a link.
 */
const MAX_SUPERSEDED = 16

/**
 * The same epoch under another nonce is first given the chance to raise it: a machine without a clock, restored from a
 * snapshot, comes to the epoch of its former life. If the other run is alive, its next word gives the clone away.
 */
export function judge(known: Known | undefined, claimed: Incarnation): Judgement {
  if (known === undefined) return 'next'
  if (claimed.nonce === known.nonce) {
    return claimed.epoch === known.epoch ? 'same' : claimed.epoch > known.epoch ? 'next' : 'stale'
  }
  if (known.superseded.includes(claimed.nonce)) return 'clone'
  return claimed.epoch > known.epoch ? 'next' : 'stale'
}

/** What is known after a judgement of `next`. */
export function follow(known: Known | undefined, { epoch, nonce }: Incarnation): Known {
  if (known === undefined) return { epoch, nonce, superseded: [] }
  if (known.nonce === nonce) return { ...known, epoch }
  return { epoch, nonce, superseded: [...known.superseded, known.nonce].slice(-MAX_SUPERSEDED) }
}

/**
 * What is known after a newer table was passed on. A signature proves no life: a run that this host has talked to is
 * not replaced by it, or a host that lost its disk would be taken for its own clone.
 */
export const hearsay = (known: Known, claimed: Incarnation): Known => ({
  epoch: claimed.epoch,
  nonce: claimed.nonce,
  superseded: known.superseded.filter((n) => n !== claimed.nonce),
})

/** After a clone was seen: the run that was there first is believed again, the other one is the newcomer. */
export function restoreFirst(known: Known, returned: Incarnation): Known {
  return {
    epoch: known.epoch,
    nonce: returned.nonce,
    superseded: [...known.superseded.filter((n) => n !== returned.nonce), known.nonce],
  }
}
