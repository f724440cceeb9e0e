/** `podman network create --driver flatnet`: checks the network, and writes into it what only Flatnet knows. */

import { unknownOptions } from '../../conf/network-options.ts'
import { show } from '../../conf/reader.ts'
import { formatIpv4, formatPrefix } from '../../core/addr.ts'
import { ConfigError, FlatnetError } from '../../core/errors.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { contextOf } from '../context.ts'
import { configOf, networkProblems } from './input.ts'

/** @returns the network as Podman stores it @throws {ConfigError} every problem at once */
export function create(network: JsonObject): JsonObject {
  const problems = [...networkProblems(network), ...unknownOptions(network)]
  try {
    const { conf, slice } = contextOf(
      { verb: 'STATUS', containerId: '', netns: '', ifname: '', args: '' },
      configOf(network),
    )
    if (slice === undefined) throw new FlatnetError('ERR_FLATNET_INTERNAL', 'create ran without a slice')
    const subnet = { subnet: formatPrefix(slice.prefix), gateway: formatIpv4(slice.bridge) }
    problems.push(...subnetProblems(network['subnets'], subnet))
    if (problems.length > 0) throw new ConfigError(problems)
    const ipamOptions = isObject(network['ipam_options']) ? network['ipam_options'] : {}
    return {
      ...network,
      network_interface: conf.bridge,
      subnets: [subnet],
      // With another driver Podman would choose the addresses itself, without looking at the leases.
      ipam_options: { ...ipamOptions, driver: 'flatnet' },
    }
  } catch (err) {
    if (!(err instanceof ConfigError) || problems.length === 0) throw err
    throw new ConfigError([...new Set([...problems, ...err.problems])])
  }
}

/** Podman fills `subnets` in when a person names one. */
function subnetProblems(
  subnets: unknown,
  own: { readonly subnet: string; readonly gateway: string },
): string[] {
  if (!Array.isArray(subnets)) return []
  const problems: string[] = []
  for (const subnet of subnets) {
    const value = isObject(subnet) ? subnet : {}
    const isOwn =
      value['subnet'] === own.subnet &&
      (value['gateway'] ?? own.gateway) === own.gateway &&
      !value['lease_range']
    if (!isOwn)
      problems.push(
        `subnets has ${show(subnet)}: the slice of this host is ${own.subnet}; leave --subnet out`,
      )
  }
  return problems
}
