/** Links of hosts in the test's process, on loopback: real TLS, a real CA, and neither cluster nor gateway. */
import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import type { LogFields } from '../../../core/log.ts'
import { Metrics } from '../../../gateway/base/metrics.ts'
import { systemScheduler } from '../../../gateway/base/scheduler.ts'
import { Links } from '../../../gateway/links/links.ts'
import type { ControlMessage, Identity, Member, Membership, Refused } from '../../../gateway/links/types.ts'
import { waitFor } from '../run/wait.ts'
import { memberOf, type TestCluster } from './cluster.ts'

/** A host's links, and everything that they reported. */
export interface Host {
  readonly identity: Identity
  readonly links: Links
  readonly members: Map<number, Member>
  readonly refused: Map<number, string>
  readonly log: string[]
  /** Messages whose types begin with `test.`. */
  readonly messages: ControlMessage[]
  readonly turnedAway: Refused[]
  readonly rivals: ControlMessage[]
  /** Events of the log from `info` on. */
  readonly told: string[]
  readonly data: Map<number, TLSSocket>
  readonly metrics: Metrics
}

/** Limit for what comes at once, on a busy machine. */
export const WAIT = 10_000

/** Runs until the test ends. @param greeting sent on each link that comes up */
export async function host(t: Test, identity: Identity, port = 0, greeting?: ControlMessage): Promise<Host> {
  const members = new Map<number, Member>()
  const refused = new Map<number, string>()
  const log: string[] = []
  const messages: ControlMessage[] = []
  const data = new Map<number, TLSSocket>()
  const turnedAway: Refused[] = []
  const rivals: ControlMessage[] = []
  const told: string[] = []
  const tell = (_: LogFields, event: string): void => void told.push(event)
  const membership: Membership = {
    members: () => [...members.values()],
    refusal: (hostId, keyId) => {
      const known = members.get(hostId)
      if (refused.has(hostId)) return refused.get(hostId)
      if (known === undefined) return 'no member'
      return known.keyId === keyId ? undefined : `another key holds host ${hostId}`
    },
    isDuplicate: (hostId, keyId) => members.has(hostId) && members.get(hostId)?.keyId !== keyId,
  }
  const metrics = new Metrics()
  const links = new Links({
    identity: () => identity,
    membership,
    listen: { host: '127.0.0.1', port },
    metrics,
    scheduler: systemScheduler(),
    log: { debug() {}, info: tell, warn: tell, error: tell },
    events: {
      up(id) {
        log.push(`up ${id}`)
        if (greeting !== undefined) links.send(id, greeting)
      },
      down: (id, reason) => void log.push(`down ${id}: ${reason}`),
      dataUp: (id, socket) => void data.set(id, socket),
      dataDown: (id) => void data.delete(id),
      refused: (refused) => void turnedAway.push(refused),
      rival: (_, message) => void rivals.push(message),
    },
  })
  links.handle('test.', (_, message) => {
    if (message.type === 'test.fault') throw new TypeError('a message that no code foresaw')
    messages.push(message)
  })
  await links.start()
  t.teardown(() => links.stop())
  return { identity, links, members, refused, log, messages, data, turnedAway, rivals, told, metrics }
}

export const endpoint = (h: Host): string => `127.0.0.1:${h.links.port}`

export function introduce(a: Host, b: Host, how: 'both' | 'a dials' = 'both'): void {
  a.members.set(b.identity.hostId, memberOf(b.identity, endpoint(b)))
  b.members.set(a.identity.hostId, memberOf(a.identity, ...(how === 'both' ? [endpoint(a)] : [])))
  a.links.refresh()
  b.links.refresh()
}

export const isUp = (h: Host, id: number): boolean => h.links.view(id)?.state === 'up' && h.data.has(id)

/** Two hosts that are linked. */
export async function pair(
  t: Test,
  cluster: TestCluster,
  how: 'both' | 'a dials' = 'both',
): Promise<[Host, Host]> {
  const a = await host(t, await cluster.identity(1))
  const b = await host(t, await cluster.identity(2))
  introduce(a, b, how)
  await waitFor('both are up', WAIT, () => isUp(a, 2) && isUp(b, 1))
  return [a, b]
}
