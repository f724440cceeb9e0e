/** The conflist that install writes: the template, the present conflist, the options; later wins. */

import { isDeepStrictEqual } from 'node:util'
import { show } from '../../conf/reader.ts'
import { conflistTemplate } from '../../conf/templates.ts'
import { isObject, type JsonObject } from '../../core/json.ts'

/** Options of install that end up in the conflist; undefined: as it is. */
export interface NetworkOptions {
  readonly network: string
  readonly hostId?: number | undefined
  readonly supernet?: string | undefined
  readonly hostPrefix?: number | undefined
  readonly bridge?: string | undefined
  readonly httpPort?: number | undefined
  readonly dataDir?: string | undefined
  readonly socket?: string | undefined
}

export type Conflist = JsonObject & { readonly cniVersion: string; readonly plugins: readonly JsonObject[] }

const defined = (values: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

const objectAt = (object: JsonObject | undefined, key: string): JsonObject => {
  const value = object?.[key]
  return isObject(value) ? value : {}
}

function ourEntry(template: JsonObject, present: JsonObject | undefined, o: NetworkOptions): JsonObject {
  const endpoint = o.socket === undefined ? undefined : `unix://${o.socket}`
  return {
    ...template,
    ...present,
    ...defined({ bridge: o.bridge, httpPort: o.httpPort, dataDir: o.dataDir }),
    ipam: {
      ...objectAt(template, 'ipam'),
      ...objectAt(present, 'ipam'),
      ...defined({ hostId: o.hostId, supernet: o.supernet, hostPrefix: o.hostPrefix }),
    },
    registrar: {
      ...objectAt(template, 'registrar'),
      ...objectAt(present, 'registrar'),
      ...defined({ endpoint }),
    },
    // Podman drops port mappings when one of them is missing, so none is left to choice.
    capabilities: { ...objectAt(present, 'capabilities'), ...objectAt(template, 'capabilities') },
  }
}

/** @param present the conflist in place, parsed; undefined when there is none. Plugins chained to ours stay. */
export function desiredConflist(present: JsonObject | undefined, options: NetworkOptions): Conflist {
  const template = JSON.parse(conflistTemplate())
  const chain: readonly unknown[] = Array.isArray(present?.['plugins']) ? present['plugins'] : []
  const isOurs = (p: unknown): p is JsonObject => isObject(p) && p['type'] === 'flatnet'
  const entry = ourEntry(template.plugins[0], chain.find(isOurs), options)
  return {
    ...template,
    ...present,
    cniVersion: template.cniVersion,
    name: options.network,
    plugins: chain.some(isOurs) ? chain.map((p) => (isOurs(p) ? entry : p)) : [entry],
  }
}

/** `ipam.hostId: 1 -> 2`, for each value that differs. */
export function differences(present: unknown, desired: unknown, path = ''): string[] {
  if (isDeepStrictEqual(present, desired)) return []
  if (isObject(present) && isObject(desired)) {
    const keys = new Set([...Object.keys(present), ...Object.keys(desired)])
    return [...keys].flatMap((k) => differences(present[k], desired[k], path === '' ? k : `${path}.${k}`))
  }
  if (Array.isArray(present) && Array.isArray(desired) && present.length === desired.length) {
    return present.flatMap((value, i) => differences(value, desired[i], `${path}[${i}]`))
  }
  return [`${path}: ${present === undefined ? 'absent' : show(present)} -> ${show(desired)}`]
}
