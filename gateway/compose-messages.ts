/** Wires the small messages between hosts that no path connects. */

import type { Cluster } from './cluster/cluster.ts'
import { memberOf } from './cluster/members/document.ts'
import type { Base } from './compose-base.ts'
import { diskMessages, diskOwnRequests } from './gossip/disk.ts'
import { Messages } from './gossip/messages.ts'
import { Runner } from './gossip/runner.ts'

export function composeMessages(base: Base, { links, state }: Cluster): Messages {
  const { conf, log, registry } = base
  const runner = new Runner((ip) => registry.byIp(ip)?.hostId === conf.hostId)
  const messages = new Messages({
    ...base,
    disk: diskMessages(conf.dataDir, log),
    ownDisk: diskOwnRequests(conf.dataDir, log),
    random: Math.random,
    identity: () => state.identity,
    keyIdOf(hostId) {
      const member = memberOf(state.document, hostId)
      return member !== undefined && state.refusal(hostId, member.keyId) === undefined
        ? member.keyId
        : undefined
    },
    // The statement of a host's addresses has its key, and every member has every host's statement.
    spkiOf(hostId) {
      const record = state.endpoints.get(hostId)
      return record && Buffer.from(record.spki, 'base64url')
    },
    linked: () => links.views().flatMap((l) => (l.state === 'up' ? [l.hostId] : [])),
    send: (hostId, message) => links.send(hostId, message),
    run: (request) => runner.run(request),
  })
  links.handle('gossip.', (hostId, message) => messages.receive(hostId, message))
  return messages
}
