/** An attachment's result in the words of netavark, and errors as it reads them. */

import { toCniError } from '../../core/errors.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { CniResult } from '../result.ts'
import { CURRENT_VERSION } from '../versions.ts'

/**
 * For `setup`. Podman shows it in inspect, writes /etc/hosts and resolv.conf from it, and asks for the same address and
 * MAC at `network reload`.
 */
export function setupAnswer({ interfaces, ips, dns }: CniResult, ifname: string): JsonObject {
  const own = interfaces.find(({ sandbox, name }) => sandbox !== undefined && name === ifname)
  return {
    dns_search_domains: textsOf(dns, 'search'),
    dns_server_ips: textsOf(dns, 'nameservers'),
    interfaces: {
      [ifname]: {
        mac_address: own?.mac,
        // Without a gateway inspect would show "<nil>".
        subnets: ips.map(({ address, gateway }) => ({ ipnet: address, gateway })),
      },
    },
  }
}

const textsOf = (dns: JsonObject, key: string): unknown => {
  const list = isObject(dns) ? dns[key] : undefined
  return Array.isArray(list) ? list : []
}

/** In the same words as for CNI. Anything else on stdout would reach a person as an error of JSON. */
export function errorAnswer(err: unknown): JsonObject {
  return { error: errorText(err) }
}

export function errorText(err: unknown): string {
  const { msg, details } = toCniError(err, CURRENT_VERSION)
  return details === undefined ? msg : `${msg}: ${details}`
}
