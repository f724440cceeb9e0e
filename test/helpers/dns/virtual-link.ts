/** Names on one link in virtual time, for tests: what they send, and what the LAN says to them. */

import { type Answer, decode, encode, type Packet, type Question } from 'dns-packet'
import { LinkNames, type LinkNamesDeps } from '../../../gateway/mdns/link-names.ts'
import { SimTime } from '../sim/network.ts'

export const OWN = '192.0.2.7'
export const OTHER = '192.0.2.9'
export const PEER = { address: OTHER, port: 5353 }

interface Sent extends Packet {
  readonly at: number
  readonly to?: string
}

export function link(more: Partial<LinkNamesDeps> = {}, time = new SimTime()) {
  const sent: Sent[] = []
  const dropped: string[] = []
  const taken: string[] = []
  const names = new LinkNames({
    address: OWN,
    scheduler: time.scheduler(() => 0),
    random: () => 0.4,
    send: (bytes) => sent.push({ ...decode(bytes), at: time.now }),
    reply: (bytes, { address, port }) =>
      sent.push({ ...decode(bytes), at: time.now, to: `${address}:${port}` }),
    isOnLink: (address) => address.startsWith('192.0.2.'),
    isOwn: (address) => address === (more.address ?? OWN),
    dropped: (why) => dropped.push(why),
    flooded: () => {},
    taken: (name, by) => taken.push(`${name} ${by}`),
    ...more,
  })
  const hear = (packet: Packet, from = PEER): void => names.receive(encode(packet), from)
  const asks = (
    question: { name?: string; type?: string; class?: string },
    more: Packet = {},
    from = PEER,
  ): void =>
    hear(
      { type: 'query', questions: [{ type: 'A', name: 'web.local', ...question } as Question], ...more },
      from,
    )
  return {
    time,
    names,
    sent,
    dropped,
    taken,
    hear,
    asks,
    phases: () => names.names.map(({ name, phase }) => `${name} ${phase}`),
    /** Of the last `ms`, so that what is sent in answer stands alone. */
    after(ms: number): Sent[] {
      sent.length = 0
      time.run(ms)
      return [...sent]
    },
    published(...list: readonly string[]) {
      names.setNames(new Set(list))
      time.run(5_000)
      sent.length = 0
    },
  }
}

export const a = (data: string, more: object = {}): Answer => ({
  type: 'A',
  name: 'web.local',
  ttl: 120,
  data,
  ...more,
})
export const answer = (...answers: readonly Answer[]): Packet => ({ type: 'response', answers: [...answers] })
