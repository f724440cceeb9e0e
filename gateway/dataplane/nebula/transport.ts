/** Nebula as a transport: the escalation of UDP paths, with messages, keys and words of its own. */

import { DEFAULT_TIERS } from '../../../conf/tiers.ts'
import type { P2pInfo } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { Candidate, Transport } from '../../paths/transport.ts'
import type { P2pTransportDeps } from '../p2p/p2p-deps.ts'
import { p2pInfoOf } from '../p2p/p2p-info.ts'
import type { P2pLinks } from '../p2p/p2p-links.ts'
import { P2pTransport } from '../p2p/p2p-transport.ts'
import { nebulaWords } from './words.ts'

const PREFIX = 'nebula.'
const UDP_PREFIX = 'p2p.'
const KEY_LABEL = 'EXPORTER-flatnet-nebula'

export type NebulaLinks = Omit<P2pLinks, 'kind'>

export interface NebulaTransportDeps extends Omit<P2pTransportDeps, 'addresses' | 'links' | 'tiers'> {
  readonly links: NebulaLinks
  /** `10.101.0.1:41234`: what peers probe. */
  ownAddress(): string | undefined
}

/** Offers, keys and promotions go by the links alone: packets that Nebula carries need the gateway path below them. */
const withPrefix = (links: NebulaLinks): P2pLinks => ({
  kind: () => 'link',
  isUp: (hostId) => links.isUp(hostId),
  addresses: (hostId) => links.addresses(hostId),
  send: (hostId, message) =>
    links.send(hostId, { ...message, type: PREFIX + message.type.slice(UDP_PREFIX.length) }),
  exportKey: (hostId, bytes, _label, context) => links.exportKey(hostId, bytes, KEY_LABEL, context),
})

export class NebulaTransport implements Transport {
  readonly kind = 'nebula'
  /** Its escalation; what the process `flatnet p2p` is to UDP, the plane is to it. */
  readonly inner: P2pTransport

  constructor({ links, ownAddress, ...deps }: NebulaTransportDeps) {
    this.inner = new P2pTransport({
      ...deps,
      links: withPrefix(links),
      // They are about UDP to addresses of all kinds.
      tiers: DEFAULT_TIERS,
      // One address for each host, which no NAT changes.
      addresses: {
        candidates: () => [ownAddress() ?? []].flat(),
        connected() {},
        forget() {},
        networkChanged() {},
        portMapped: undefined,
        isSymmetric: false,
        observed: () => false,
        relayed: [],
        said: () => undefined,
        tick() {},
        udp: () => undefined,
      },
    })
  }

  candidates(hostId: number): readonly Candidate[] {
    return this.inner.candidates(hostId).map(({ escalation, hasChannel, lossRate, rttMs }) => ({
      id: { kind: 'nebula' },
      tier: 'nebula',
      hasChannel,
      lossRate,
      rttMs,
      escalation: escalation && { ...escalation, reason: nebulaWords(escalation.reason) },
    }))
  }

  /** Nothing to do: both hosts agreed and the route is set before this becomes the path. */
  use(): void {}

  onChange(listener: (hostId: number) => void): () => void {
    return this.inner.onChange(listener)
  }

  /** A message of a peer whose type begins with `nebula.`. */
  receive(hostId: number, message: ControlMessage): void {
    this.inner.receive(hostId, { ...message, type: UDP_PREFIX + message.type.slice(PREFIX.length) })
  }

  /** @param wallOf the wall clock's reading at a monotonic instant */
  info(hostId: number, wallOf: (at: Millis) => Millis): P2pInfo | undefined {
    const view = this.inner.view(hostId)
    if (view === undefined) return undefined
    const { tier, form, txBps, rxBps, ...info } = p2pInfoOf(view, this.inner.session(hostId), wallOf, 'ipv4')
    return { ...info, reason: nebulaWords(info.reason) }
  }
}
