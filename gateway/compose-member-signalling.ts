/** Wires the letters by which hosts that no link connects agree on UDP. */

import { X509Certificate } from 'node:crypto'
import type { Cluster } from './cluster/cluster.ts'
import type { Base } from './compose-base.ts'
import { CARRY } from './dataplane/p2p/letters/forwarder.ts'
import { MemberSignalling } from './dataplane/p2p/letters/member-signalling.ts'
import type { RelaySignals } from './dataplane/relay/signals.ts'
import { keyIdOfSpki } from './links/tls.ts'
import type { Reports } from './paths/reports.ts'

export function composeMemberSignalling(
  base: Base,
  { links, state }: Cluster,
  reports: Reports,
  relayed: RelaySignals,
): MemberSignalling {
  const { conf, log, metrics, paths, scheduler } = base
  const memberSignalling = new MemberSignalling({
    hostId: conf.hostId,
    enabled: conf.paths.tiers.punch.enabled,
    usesUdp: conf.p2p.enabled,
    scheduler,
    random: Math.random,
    log,
    identity: () => state.identity,
    validTo: () => new X509Certificate(state.identity.certPem).validToDate.getTime(),
    spkiOf(hostId) {
      if (paths.isQuarantined(hostId)) return undefined
      const spki = Buffer.from(state.endpoints.get(hostId)?.spki ?? '', 'base64url')
      return keyIdOfSpki(spki) === state.keyIdOf(hostId) ? spki : undefined
    },
    members: () => links.views().map(({ hostId }) => hostId),
    isConnected(hostId) {
      const decision = paths.decision(hostId)
      const kind = (decision?.below ?? decision)?.via.kind
      const isDecided = kind === 'gateway' || kind === 'relay'
      return isDecided || links.view(hostId)?.state === 'up' || relayed.to(hostId) !== undefined
    },
    linked: () =>
      links.views().flatMap((l) => (l.state === 'up' && !paths.isQuarantined(l.hostId) ? [l.hostId] : [])),
    takesLetters: (hostId) => reports.carriesLetters(hostId),
    leadingTo: (hostId) => reports.leadingTo(hostId, scheduler.monotonic()),
    send: (hostId, message) => links.send(hostId, message),
    count: (what, reason) =>
      metrics.count('flatnet_letters_total', 'Letters about UDP paths that members carry', {
        what,
        ...(reason !== undefined && { reason }),
      }),
  })
  reports.onLed((hostId) => memberSignalling.wayFound(hostId))
  links.handle(CARRY, (hostId, message) => memberSignalling.receive(hostId, message))
  return memberSignalling
}
