/** Says which versions this host has: hello on a new link, then digests in rounds. */

import type { ReplicationDeps } from './deps.ts'
import type { KnownVersion } from './messages.ts'
import type { Publisher } from './publisher.ts'
import type { Replicas } from './replicas.ts'

export interface DigestsDeps extends Pick<ReplicationDeps, 'registry' | 'scheduler' | 'send'> {
  readonly publisher: Publisher
  readonly replicas: Replicas
}

export class Digests {
  readonly #deps: DigestsDeps

  constructor(deps: DigestsDeps) {
    this.#deps = deps
  }

  sendHello(to: number): void {
    this.#deps.send(to, this.#deps.publisher.hello(this.#pair(to)))
  }

  sendPair(to: number): void {
    const now = Math.round(this.#deps.scheduler.now())
    this.#deps.send(to, { type: 'registry.digest', scope: 'pair', know: this.#pair(to), now })
  }

  sendFull(to: number): void {
    const { replicas, publisher, send } = this.#deps
    send(to, { type: 'registry.digest', scope: 'all', know: replicas.know(publisher.version) })
  }

  /** What this host has of itself and of one peer; nothing of the peer when its table was dropped. */
  #pair(to: number): KnownVersion[] {
    const { publisher, registry, replicas } = this.#deps
    const own = publisher.version
    const version = replicas.get(to)?.signed && registry.version(to)
    const mine: KnownVersion = [publisher.hostId, own.epoch, own.seq]
    return [mine, [to, version?.epoch ?? 0, version?.seq ?? 0]]
  }
}
