/** Finds out how this host is seen from outside: by its members, and by a server that knows RFC 5780. */

import type { Millis } from '../../../core/clock.ts'
import { type Dependence, type NatBehaviour, natBehaviour } from './behaviour.ts'
import type { StunAsker } from './stun-socket.ts'

export interface NetcheckMember {
  readonly hostId: number
  readonly name: string
  /** Where it may answer, `address:port` or `name:port`, the likeliest first. */
  readonly servers: readonly string[]
}

interface MemberAnswer {
  readonly hostId: number
  readonly name: string
  /** Where it answered; undefined: nowhere. */
  readonly server?: string | undefined
  readonly rttMs?: Millis | undefined
  /** This host's address as that member sees it. */
  readonly mapped?: string | undefined
}

export interface Netcheck {
  /** Whether any question by UDP had an answer. */
  readonly udp: boolean
  /** This host's addresses as others see them, each once; a port belongs to the socket that asked. */
  readonly ipv4: readonly string[]
  readonly ipv6: readonly string[]
  /** Whether the address that others see is none of this host's; undefined: no answer. */
  readonly behindNat?: boolean | undefined
  /** As the server tells it, else as members at several addresses do: these tell only whether it depends on them. */
  readonly mapping?: Dependence | 'dependent' | undefined
  readonly filtering?: Dependence | undefined
  readonly hairpin?: boolean | undefined
  /** The nearest first, those without an answer last. */
  readonly members: readonly MemberAnswer[]
  /** Undefined: none was named, or it does not answer. */
  readonly server?: NatBehaviour | undefined
}

export interface NetcheckDeps {
  /** By family of address; undefined: this host has none of that family. */
  readonly askers: { readonly ipv4: StunAsker | undefined; readonly ipv6: StunAsker | undefined }
  /** A socket that has sent nothing, for the questions of RFC 5780. */
  readonly fresh: StunAsker | undefined
  readonly members: readonly NetcheckMember[]
  /** Of a server with two addresses. */
  readonly server: string | undefined
  /** Without ports and brackets. */
  readonly ownAddresses: readonly string[]
}

/** A name is asked by IPv4: which addresses it has is not looked up here. */
const isV6 = (endpoint: string): boolean => endpoint.startsWith('[')
const hostOf = (endpoint: string): string => endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
const unique = (all: readonly string[]): string[] => [...new Set(all)]

export async function netcheck(deps: NetcheckDeps): Promise<Netcheck> {
  const { askers, fresh, members, server, ownAddresses } = deps
  const [answers, behaviour] = await Promise.all([
    Promise.all(members.map((member) => askMember(askers, member))),
    server === undefined || fresh === undefined ? undefined : natBehaviour(fresh, server),
  ])
  const seen = unique(
    [...answers.map(({ mapped }) => mapped), behaviour?.mapped].filter((m) => m !== undefined),
  )
  const v4 = seen.filter((endpoint) => !isV6(endpoint))
  const judged = v4.length > 0 ? v4 : seen
  return {
    udp: seen.length > 0,
    ipv4: v4,
    ipv6: seen.filter(isV6),
    behindNat: judged.length === 0 ? undefined : judged.some((e) => !ownAddresses.includes(hostOf(e))),
    mapping: behaviour?.mapping ?? mappingByMembers(answers, ownAddresses),
    filtering: behaviour?.filtering,
    hairpin: behaviour?.hairpin,
    members: answers.toSorted((a, b) => (a.rttMs ?? Infinity) - (b.rttMs ?? Infinity)),
    server: behaviour,
  }
}

/** All its addresses at once: the first answer counts. */
async function askMember(
  { ipv4, ipv6 }: NetcheckDeps['askers'],
  { hostId, name, servers }: NetcheckMember,
): Promise<MemberAnswer> {
  const asked = servers.map(async (server) => {
    const answer = await (isV6(server) ? ipv6 : ipv4)?.ask(server)
    if (answer === undefined) throw new Error('no answer')
    return { server, answer }
  })
  try {
    const { server, answer } = await Promise.any(asked)
    return { hostId, name, server, rttMs: answer.rttMs, mapped: answer.message.mapped }
  } catch {
    // None of them answered: that is what the member's line says.
    return { hostId, name }
  }
}

/**
 * Two members at different addresses see the same mapping, or they do not. One alone says nothing, and neither does a
 * member on this side of the NAT, which sees an address of this host.
 */
function mappingByMembers(
  answers: readonly MemberAnswer[],
  ownAddresses: readonly string[],
): Netcheck['mapping'] {
  const v4 = answers.filter(
    ({ server, mapped }) =>
      mapped !== undefined && server !== undefined && !isV6(server) && !ownAddresses.includes(hostOf(mapped)),
  )
  if (new Set(v4.map(({ server }) => hostOf(server ?? ''))).size < 2) return undefined
  return new Set(v4.map(({ mapped }) => mapped)).size === 1 ? 'endpoint-independent' : 'dependent'
}
