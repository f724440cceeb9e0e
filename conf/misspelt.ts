/** Keys of a network configuration that nearly have one of our names. */

import type { JsonObject } from '../core/json.ts'
import { isOneOff } from './nearest.ts'
import type { Reader } from './reader.ts'

/**
 * Our keys, to find the one that was probably meant. Unknown keys pass: runtimes hand theirs through
 * (docs/architecture/cni.md#s4).
 */
export const TOP_KEYS: readonly string[] = [
  'bridge',
  'mtu',
  'isDefaultGateway',
  'ipMasq',
  'hairpinMode',
  'antiSpoof',
  'hostAccess',
  'httpPort',
  'ipam',
  'dataDir',
  'registrar',
  'capabilities',
  'prevResult',
  'runtimeConfig',
]
/** Of the bridge plugin: a configuration that has one counts on a separation that Flatnet does not make. */
const NOT_OURS = ['vlan', 'vlanTrunk', 'macspoofchk', 'portIsolation', 'disableContainerInterface']

/** Another case, or one letter off in a long word: no other plugin has such a key. */
const isSlipOf = (known: string, key: string): boolean =>
  key.toLowerCase() === known.toLowerCase() || (known.length > 5 && isOneOff(key, known))

/** A problem for each; the runtime's own keys pass. */
export function refuseMisspelt(top: Reader, json: JsonObject): void {
  for (const key of Object.keys(json)) {
    if (NOT_OURS.includes(key)) top.problem(key, 'no such key; Flatnet has nothing like it, take it out')
    if (TOP_KEYS.includes(key)) continue
    for (const known of TOP_KEYS) {
      if (!isSlipOf(known, key)) continue
      top.problem(key, `write ${known}`)
      break
    }
  }
}
