/** Doctor, TURN: a server of paths.turn that does not take this host in, and what to do about it. */
import type { TurnStatus } from '../../gateway/dataplane/p2p/turn-servers.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

export interface TurnFacts {
  /** None when the gateway does not answer, or names no server. */
  readonly servers: readonly TurnStatus[]
}

async function gatherTurn(places: Places): Promise<TurnFacts> {
  const status = await gatewayStatus(places).catch(() => undefined)
  return { servers: status?.p2p?.turn ?? [] }
}

/** By the words of gateway/dataplane/nat/turn/problems.ts and turn-lookup.ts. */
const FIXES: readonly (readonly [words: RegExp, fix: string])[] = [
  [
    /refuses username and password/,
    'correct username and password or the secret in paths.turn, and this host’s clock',
  ],
  [
    /does not answer/,
    'check its name and its UDP port, and the firewalls between: flatnet netcheck tries it',
  ],
  [/quota/, 'raise user-quota and total-quota of coturn, or give each host a username of its own'],
  [/no port left/, 'raise max-port of coturn'],
  [/relays for .*, where no host can be/, 'set external-ip of coturn'],
  [/refers to another server/, 'name that server in paths.turn'],
  [/another username/, 'wait 10 minutes'],
  [/forbids|relays neither|does not relay UDP|does not understand/, 'name another server in paths.turn'],
  [/first line|ENOENT|EACCES/, 'write the password or secret into the first line of that file, chmod 600'],
  [/getaddrinfo|no address/, 'correct the name in paths.turn, or this host’s DNS'],
]
const OTHERWISE = 'flatnet netcheck tries it; its log says more'

const fixOf = (problem: string): string => FIXES.find(([words]) => words.test(problem))?.[1] ?? OTHERWISE

export function judgeTurn({ servers }: TurnFacts): Finding[] {
  const findings = servers.flatMap(({ problem, server }) => {
    if (problem === undefined) return []
    const why = 'hosts that have no other way than a TURN server stay with the gateways’ connection'
    return warn('turn-server', `TURN server ${server}: ${problem}`, why, fixOf(problem))
  })
  if (findings.length > 0 || servers.length === 0) return findings
  const texts = servers.map(({ relayed, server }) =>
    relayed === undefined ? `${server} is not needed now` : `${server} relays from ${relayed}`,
  )
  return [ok('turn-server', texts.join('; '))]
}

export const check = hostCheck({
  name: 'turn',
  gather: ({ places }) => gatherTurn(places),
  judge: judgeTurn,
})
