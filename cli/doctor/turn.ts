/** Doctor, TURN: a server of paths.turn that does not take this host in, and what to do about it. */
import { LOOK_FURTHER } from '../../gateway/dataplane/nat/turn/problems.ts'
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

export function judgeTurn({ servers }: TurnFacts): Finding[] {
  const findings = servers.flatMap(({ problem, remedy = LOOK_FURTHER, server }) => {
    if (problem === undefined) return []
    const why = 'hosts that have no other way than a TURN server stay with the gateways’ connection'
    return warn('turn-server', `TURN server ${server}: ${problem}`, why, remedy)
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
