/** Doctor, what our ruleset dropped: containers and machines that send what they may not. */

import { type Host, runJson } from '../host/host.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

/** Packets by counter of conf/flatnet.nft; those of none are left out. */
export type DropFacts = readonly (readonly [counter: string, packets: number])[]

/** By counter: what of the packets. */
const MEANING: Readonly<Record<string, string>> = {
  foreign_source: "from elsewhere with a container's address",
  forged: 'from a container with an address or a MAC that is not its own',
  router_messages: 'from a container that plays router',
  host_service: 'to services of this host',
  member_port: 'to the ports by which gateways reach each other',
  name_flood: 'with questions for names, beyond 128 KB a second of one container',
}
/** Only a hostile or a broken program sends them; the others may be for a service that a person wants to use. */
const ATTACKS = ['foreign_source', 'forged', 'router_messages']

export function gatherDrops(host: Host): DropFacts {
  // biome-ignore lint/suspicious/noExplicitAny: the JSON schema of libnftables is open
  const listed = runJson<{ nftables: any[] }>(host, 'nft', '-j', 'list', 'counters')?.nftables ?? []
  return listed.flatMap(({ counter }) =>
    counter?.table === 'flatnet' && counter.packets > 0 ? [[counter.name, counter.packets] as const] : [],
  )
}

export function judgeDrops(drops: DropFacts): Finding[] {
  if (drops.length === 0) return [ok('drops', 'no forged packet was dropped')]
  const told = drops.map(([counter, packets]) => `${packets} ${MEANING[counter] ?? counter}`)
  const what = `packets dropped since the ruleset was loaded: ${told.join(', ')}`
  if (!drops.some(([counter]) => ATTACKS.includes(counter))) return [ok('drops', what)]
  return [
    warn(
      'drops',
      what,
      'a container or a machine on the LAN sends as another one; none of it was delivered',
      'find the sender (docs/operations/access.md#forged-packets)',
    ),
  ]
}

export const check = hostCheck({
  name: 'drops',
  gather: ({ host }) => gatherDrops(host),
  judge: judgeDrops,
})
