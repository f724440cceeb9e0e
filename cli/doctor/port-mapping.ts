/** Doctor, port mapping: a router that could let UDP in, and says no. */
import type { PortMappingStatus } from '../../gateway/dataplane/nat/port-mapping/port-mapping.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

export interface PortMappingFacts {
  readonly isWanted: boolean
  /** null: the gateway does not answer, or this host is in no cluster. */
  readonly mapping: PortMappingStatus | null
}

async function gatherPortMapping(places: Places): Promise<PortMappingFacts> {
  const status = await gatewayStatus(places).catch(() => undefined)
  return {
    isWanted: places.conf?.paths.portMapping.enabled === true && places.conf.p2p.enabled,
    mapping: status?.portMapping ?? null,
  }
}

/** A router that speaks none of the protocols is no finding: most hosts have such a one and need no other. */
export function judgePortMapping({ isWanted, mapping }: PortMappingFacts): Finding[] {
  if (!isWanted || mapping === null) return []
  const { external, isDenied = false, reason, router } = mapping
  if (reason !== undefined && isDenied)
    return [
      warn(
        'port-mapping',
        `router ${router} does not let UDP in: ${reason}`,
        'this host gets no direct paths with hosts behind symmetric NATs; packets go through a hub',
        'allow port mappings for this host on the router, or forward UDP 7443 there; ' +
          'or set paths.portMapping.enabled: false',
      ),
    ]
  return external === undefined ? [] : [ok('port-mapping', `router ${router} lets UDP in at ${external}`)]
}

export const check = hostCheck({
  name: 'port-mapping',
  gather: ({ places }) => gatherPortMapping(places),
  judge: judgePortMapping,
})
