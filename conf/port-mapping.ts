/** The key `paths.portMapping` of flatnet.yaml: whether the router is asked to let UDP in, and by which protocols. */

import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'

/** The likeliest to be right first: PCP says when a router forgot, UPnP leaves mappings behind. */
export const PORT_MAPPING_PROTOCOLS = ['pcp', 'nat-pmp', 'upnp'] as const
export type PortMappingProtocol = (typeof PORT_MAPPING_PROTOCOLS)[number]

export interface PortMappingConf {
  readonly enabled: boolean
  /** In the order in which they are preferred. */
  readonly protocols: readonly PortMappingProtocol[]
}

const isProtocol = (value: unknown): value is PortMappingProtocol =>
  PORT_MAPPING_PROTOCOLS.some((protocol) => protocol === value)

export function readPortMapping(paths: Reader): PortMappingConf {
  const mapping = paths.object('portMapping')
  refuseUnknown(mapping, paths.get('portMapping'), ['enabled', 'protocols'])
  const given = mapping.array('protocols')
  const named = given.filter(isProtocol)
  if (named.length < given.length || (given.length === 0 && mapping.has('protocols')))
    mapping.problem('protocols', `must be a list of ${PORT_MAPPING_PROTOCOLS.join(', ')}`)
  const protocols = mapping.has('protocols') ? [...new Set(named)] : PORT_MAPPING_PROTOCOLS
  return { enabled: mapping.boolean('enabled', true), protocols }
}
