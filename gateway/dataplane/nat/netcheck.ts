/** Finds out how this host is seen from outside: by its members, by STUN servers, and by one that knows RFC 5780. */

import type { Millis } from '../../../core/clock.ts'
import { type Dependence, type NatBehaviour, natBehaviour } from './behaviour.ts'
import type { StunRequester } from './stun-socket.ts'

export interface NetcheckMember {
  readonly hostId: number
  readonly name: string
  /** Where it may answer, `address:port` or `name:port`, the likeliest first. */
  readonly servers: readonly string[]
}

export interface NetcheckServer {
  /** As configured. */
  readonly name: string
  /** What the name leads to, `address:port`. */
  readonly servers: readonly string[]
}

interface Answer {
  readonly name: string
  /** Where it answered; undefined: nowhere. */
  readonly server?: string | undefined
  readonly rttMs?: Millis | undefined
  /** This host's address as it is seen there. */
  readonly mapped?: string | undefined
}

interface MemberAnswer extends Answer {
  readonly hostId: number
}

export interface Netcheck {
  /** Whether any request by UDP was answered. */
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
  /** Those of `paths.stun`, likewise. */
  readonly servers: readonly Answer[]
  /** The member or server that answers soonest. */
  readonly best?: { readonly name: string; readonly rttMs: Millis } | undefined
  /** Undefined: no server with two addresses was named, or it does not answer. */
  readonly server?: NatBehaviour | undefined
}

export interface NetcheckDeps {
  /** By family of address; undefined: this host has none of that family. */
  readonly sockets: { readonly ipv4: StunRequester | undefined; readonly ipv6: StunRequester | undefined }
  /** A socket that has sent nothing, for the tests of RFC 5780. */
  readonly fresh: StunRequester | undefined
  readonly members: readonly NetcheckMember[]
  readonly servers: readonly NetcheckServer[]
  /** With two addresses, `address:port`; undefined: one of `servers` that says that it has two. */
  readonly server: string | undefined
  /** Without ports and brackets. */
  readonly ownAddresses: readonly string[]
}

/** A name is asked by IPv4: which addresses it has is not looked up here. */
const isV6 = (endpoint: string): boolean => endpoint.startsWith('[')
const hostOf = (endpoint: string): string => endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
/** A symmetric NAT shows each server another address. */
const MAX_HAIRPINS = 4
const unique = (all: readonly string[]): string[] => [...new Set(all)]

export async function netcheck(deps: NetcheckDeps): Promise<Netcheck> {
  const { sockets, members, ownAddresses } = deps
  const [toldByMembers, toldByServers] = await Promise.all([
    Promise.all(members.map(async (member) => ({ ...(await ask(sockets, member)), hostId: member.hostId }))),
    Promise.all(deps.servers.map((server) => ask(sockets, server))),
  ])
  const answers = [...toldByMembers, ...toldByServers]
  const behaviour = await behaviourBy(deps, toldByServers)
  const seen = unique(
    [...answers.map(({ mapped }) => mapped), behaviour?.mapped].filter((m) => m !== undefined),
  )
  const v4 = seen.filter((endpoint) => !isV6(endpoint))
  const judged = v4.length > 0 ? v4 : seen
  const behindNat = judged.length === 0 ? undefined : judged.some((e) => !ownAddresses.includes(hostOf(e)))
  return {
    udp: seen.length > 0,
    ipv4: v4,
    ipv6: seen.filter(isV6),
    behindNat,
    mapping: behaviour?.mapping ?? mappingByMembers(answers, ownAddresses),
    filtering: behaviour?.filtering,
    hairpin: behaviour?.hairpin ?? (behindNat === true ? await comesBack(sockets.ipv4, v4) : undefined),
    members: toldByMembers.map(shown).toSorted(bySoonest),
    servers: toldByServers.map(shown).toSorted(bySoonest),
    best: bestOf(answers),
    server: behaviour,
  }
}

/** An answer, and whether the server has a second address. */
type Told = Answer & { readonly other?: string | undefined }

function shown<T extends Told>({ other: _, ...answer }: T): Omit<T, 'other'> {
  return answer
}

const bySoonest = (a: Answer, b: Answer): number => (a.rttMs ?? Infinity) - (b.rttMs ?? Infinity)

function bestOf(answers: readonly Answer[]): Netcheck['best'] {
  const [first] = answers.toSorted(bySoonest)
  return first?.rttMs === undefined ? undefined : { name: first.name, rttMs: first.rttMs }
}

/** All its addresses at once: the first answer counts. */
async function ask(
  { ipv4, ipv6 }: NetcheckDeps['sockets'],
  { name, servers }: NetcheckServer,
): Promise<Told> {
  const asked = servers.map(async (server) => {
    const answer = await (isV6(server) ? ipv6 : ipv4)?.request(server)
    if (answer === undefined) throw new Error('no answer')
    return { server, answer }
  })
  try {
    const { server, answer } = await Promise.any(asked)
    const { mapped, other } = answer.message
    return { name, server, rttMs: answer.rttMs, mapped, other }
  } catch {
    // None of them answered: that is what its line says.
    return { name }
  }
}

async function behaviourBy(
  { fresh, server }: NetcheckDeps,
  told: readonly Told[],
): Promise<NatBehaviour | undefined> {
  const chosen =
    server ?? told.find(({ other, server: at = '[' }) => other !== undefined && !isV6(at))?.server
  return chosen === undefined || fresh === undefined ? undefined : natBehaviour(fresh, chosen)
}

/** Whether a datagram to the own mapped address comes back in. A symmetric NAT shows several: any of them. */
async function comesBack(
  socket: StunRequester | undefined,
  mapped: readonly string[],
): Promise<boolean | undefined> {
  if (socket === undefined || mapped.length === 0) return undefined
  const heard = await Promise.all(mapped.slice(0, MAX_HAIRPINS).map((address) => socket.request(address)))
  return heard.some((answer) => answer !== undefined)
}

/**
 * Two members at different addresses see the same mapping, or they do not. One alone says nothing, and neither does a
 * member on this side of the NAT, which sees an address of this host.
 */
function mappingByMembers(answers: readonly Answer[], ownAddresses: readonly string[]): Netcheck['mapping'] {
  const v4 = answers.filter(
    ({ server, mapped }) =>
      mapped !== undefined && server !== undefined && !isV6(server) && !ownAddresses.includes(hostOf(mapped)),
  )
  if (new Set(v4.map(({ server }) => hostOf(server ?? ''))).size < 2) return undefined
  return new Set(v4.map(({ mapped }) => mapped)).size === 1 ? 'endpoint-independent' : 'dependent'
}
