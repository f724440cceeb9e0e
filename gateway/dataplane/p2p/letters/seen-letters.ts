/** Which letters were here: none is read or passed on twice, however often it comes. */

/** A host may send 8 a second for the 5 min that its clock may be off. Older ones are refused below the floor. */
const MAX_OF_HOST = 2_560

interface OfHost {
  /** The newest last. */
  readonly seqs: Set<number>
  /** What is not above it counts as seen. */
  floor: number
}

export class SeenLetters {
  readonly #hosts = new Map<number, OfHost>()

  has(from: number, seq: number): boolean {
    const host = this.#hosts.get(from)
    return host !== undefined && (seq <= host.floor || host.seqs.has(seq))
  }

  /** @param from a member, whose signature was checked: there are no more hosts than members */
  add(from: number, seq: number): void {
    const host = this.#hosts.get(from) ?? { seqs: new Set(), floor: 0 }
    this.#hosts.set(from, host)
    host.seqs.add(seq)
    const [oldest] = host.seqs
    if (host.seqs.size <= MAX_OF_HOST || oldest === undefined) return
    host.seqs.delete(oldest)
    host.floor = Math.max(host.floor, oldest)
  }
}
