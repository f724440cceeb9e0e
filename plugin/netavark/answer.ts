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
  return inNetavarkWords(details === undefined ? msg : `${msg}: ${details}`)
}

/** What the core calls by CNI's names, and what netavark calls it; a person finds these in `podman inspect`. */
const WORDS: readonly (readonly [cni: RegExp, netavark: string])[] = [
  [/required env variables/g, 'required keys'],
  [/\bCNI_CONTAINERID\b/g, 'container_id'],
  [/\bCNI_IFNAME\b/g, 'interface_name'],
  [/\bCNI_NETNS\b/g, 'the namespace'],
  [/\bruntimeConfig\.ips\b/g, 'static_ips'],
  [/\bruntimeConfig\.mac\b/g, 'static_mac'],
  [/\bruntimeConfig\.aliases\b/g, 'aliases'],
  // The number counts the ports of all ranges, which netavark's list does not.
  [/\bruntimeConfig\.portMappings(\[\d+\])?/g, 'port_mappings'],
  [/\bport_mappings\.hostPort\b/g, 'port_mappings.host_port'],
  [/\bport_mappings\.containerPort\b/g, 'port_mappings.container_port'],
  [/\bport_mappings\.hostIP\b/g, 'port_mappings.host_ip'],
]

const inNetavarkWords = (text: string): string =>
  WORDS.reduce((words, [cni, netavark]) => words.replaceAll(cni, netavark), text)
