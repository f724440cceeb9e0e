/** Doctor, names for containers: whether the gateway answers them on each network's bridge, as it says. */

import type { Status } from '../../gateway/api/status.ts'
import { GatewayDownError } from '../host/client.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

/** undefined: the gateway does not answer, which is another check's finding, or is an older one. null: off. */
export type DnsFacts = Status['dns'] | undefined

/** Pure. */
export function judgeDns(dns: DnsFacts): readonly Finding[] {
  if (dns === undefined || dns === null) return []
  const failed = dns.networks.filter(({ state }) => state === 'failed')
  if (failed.length > 0)
    return failed.map(({ network, problem }) =>
      warn(
        'names',
        `names are not served on network ${network}`,
        'its containers do not find each other by name; all else works',
        problem ?? 'the log of the gateway says why',
      ),
    )
  const serving = dns.networks.filter(({ state }) => state === 'serving')
  if (serving.length === 0) return [ok('names', 'names are served from the first container on')]
  const where = serving.map(({ address }) => address).join(', ')
  return [
    ok('names', `containers find each other as NAME or NAME.${dns.domain}; their DNS server is ${where}`),
  ]
}

export const check = hostCheck({
  name: 'names',
  async gather({ places }): Promise<DnsFacts> {
    try {
      return (await gatewayStatus(places)).dns
    } catch (err) {
      if (err instanceof GatewayDownError) return undefined
      throw err
    }
  },
  judge: judgeDns,
})
