/** What is known of UDP at both ends of a pair beyond its own probes: shown where these are not answered. */
import type { EscalationFacts, UdpOutside } from '../../paths/escalation/types.ts'
import type { Offered } from './offers.ts'
import type { OwnAddresses } from './own-addresses.ts'

export class KnownCauses {
  readonly #own: Pick<OwnAddresses, 'isSymmetric' | 'udp'>
  #peer: Offered = {}

  constructor(own: Pick<OwnAddresses, 'isSymmetric' | 'udp'>) {
    this.#own = own
  }

  /** @param offered by the peer, with its addresses */
  hear(offered: Offered): void {
    this.#peer = offered
  }

  /** Of this host, as servers others than the peer show it. */
  get udp(): UdpOutside | undefined {
    return this.#own.udp(this.#peer.candidates ?? [])
  }

  get facts(): Pick<EscalationFacts, 'symmetric' | 'udp'> {
    const { isSymmetric = false, udp } = this.#peer
    return {
      symmetric: { here: this.#own.isSymmetric, there: isSymmetric },
      udp: { here: this.udp, there: udp },
    }
  }
}
