/** The section `paths` of flatnet.yaml: how a way to other hosts is found. */

import type { Prefix4 } from '../core/addr.ts'
import { refuseUnknown } from './daemon-values.ts'
import { type NebulaConf, readNebula } from './nebula.ts'
import { type PortMappingConf, readPortMapping } from './port-mapping.ts'
import type { Reader } from './reader.ts'
import { isServer } from './server.ts'
import { readTiers, type TiersConf } from './tiers.ts'
import { readTurn, type TurnConf } from './turn.ts'

export interface PathsConf {
  /** STUN servers beside the members, `name:port` or `address:port`. */
  readonly stun: readonly string[]
  readonly turn: readonly TurnConf[]
  readonly nebula: NebulaConf
  readonly tiers: TiersConf
  readonly portMapping: PortMappingConf
}

/** Two are enough to find out a NAT's mapping; the others are for when those fail. */
const MAX_SERVERS = 4

export function readPaths(
  top: Reader,
  host: { readonly hostId: number; readonly supernet: Prefix4 },
): PathsConf {
  const paths = top.object('paths')
  refuseUnknown(paths, top.get('paths'), ['stun', 'turn', 'nebula', 'portMapping', 'tiers'])
  const given = paths.array('stun')
  const stun = given.filter(isServer)
  if (stun.length < given.length || stun.length > MAX_SERVERS) {
    const example = '["stun.example:3478", "192.0.2.1:3478", "[2001:db8::1]:3478"]'
    paths.problem('stun', `must be at most ${MAX_SERVERS} names or addresses with ports, e.g. ${example}`)
  }
  return {
    stun,
    turn: readTurn(paths),
    nebula: readNebula(paths, host),
    portMapping: readPortMapping(paths),
    tiers: readTiers(paths),
  }
}
