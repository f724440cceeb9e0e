/** Wires the small messages between hosts that no path connects. */

import type { Cluster } from './cluster/cluster.ts'
import type { Base } from './compose-base.ts'
import { diskMessages, diskOwnRequests } from './gossip/disk.ts'
import { Messages } from './gossip/messages.ts'
import { Runner } from './gossip/runner.ts'
import { keyIdOfSpki } from './links/tls.ts'

export function composeMessages(base: Base, { links, state }: Cluster): Messages {
  const { conf, log, paths, registry } = base
  const runner = new Runner((ip) => registry.byIp(ip)?.hostId === conf.hostId)
  const keyIdOf = (hostId: number): string | undefined =>
    paths.isQuarantined(hostId) ? undefined : state.keyIdOf(hostId)
  const messages = new Messages({
    ...base,
    disk: diskMessages(conf.dataDir, log),
    ownDisk: diskOwnRequests(conf.dataDir, log),
    random: Math.random,
    tier: conf.paths.tiers.gossip,
    identity: () => state.identity,
    keyIdOf,
    // The statement of a host's addresses has its key, and every member has every host's statement.
    spkiOf(hostId) {
      const spki = Buffer.from(state.endpoints.get(hostId)?.spki ?? '', 'base64url')
      // After its number was given anew, the statement of the host before it may still be here.
      return keyIdOfSpki(spki) === keyIdOf(hostId) ? spki : undefined
    },
    linked: () =>
      links.views().flatMap((l) => (l.state === 'up' && !paths.isQuarantined(l.hostId) ? [l.hostId] : [])),
    send: (hostId, message) => links.send(hostId, message),
    run: (request) => runner.run(request),
  })
  links.handle('gossip.', (hostId, message) => messages.receive(hostId, message))
  return messages
}
