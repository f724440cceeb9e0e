/** Lines to the P2P process about a session: its secret, and when the gateway path is worth another one. */
import type { GatewayPathFacts } from '../../paths/escalation/types.ts'
import type { P2pLinks } from './p2p-links.ts'

const KEY_LABEL = 'EXPORTER-flatnet-udp'
const KEY_BYTES = 64
/** The process learns of a round trip only when it changed by this share. */
const RTT_CHANGE = 0.2

/** @returns in hex; undefined: no connection leads to the peer any more */
export function sessionSecret(
  links: Pick<P2pLinks, 'exportKey'>,
  [own, peer]: readonly [own: number, peer: number],
  attempt: string,
): string | undefined {
  const context = Buffer.from(`${Math.min(own, peer)}|${Math.max(own, peer)}|${attempt}`)
  return links.exportKey(peer, KEY_BYTES, KEY_LABEL, context)?.toString('hex')
}

/** @param told what the process knows; undefined: nothing yet */
export function isNews({ isUp, rttMs = 0 }: GatewayPathFacts, told: GatewayPathFacts | undefined): boolean {
  if (told === undefined || told.isUp !== isUp) return true
  return Math.abs(rttMs - (told.rttMs ?? 0)) > RTT_CHANGE * Math.max(rttMs, 1)
}
