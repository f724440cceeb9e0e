/**
 * A network of Podman 5: its options are the keys of a conflist's entry, as texts.
 *
 * `ipam.hostId: "2"` is `"ipam": { "hostId": 2 }`, so one reader (netconf.ts) judges both, in the same words.
 */

import { isObject, type JsonObject } from '../core/json.ts'
import { TOP_KEYS } from './misspelt.ts'
import { nearest } from './nearest.ts'
import { show } from './reader.ts'

/** Short forms for `podman network create --driver flatnet --opt hostId=2`. */
const SHORT: Readonly<Record<string, string>> = {
  hostId: 'ipam.hostId',
  supernet: 'ipam.supernet',
  hostPrefix: 'ipam.hostPrefix',
}

/** Written by install, and by `create` for networks that a person makes. */
const OWN_FIELDS: readonly string[] = ['type', 'bridge', 'capabilities']

/** Podman stores texts only: `"80"` is a number again, `"flatnet0"` stays a text. */
function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'string' ? text : value
  } catch {
    return text
  }
}

function setAt(entry: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  if (rest.length === 0) {
    entry[key] = value
    return
  }
  const inner = Object.hasOwn(entry, key) && isObject(entry[key]) ? { ...entry[key] } : {}
  setAt(inner, rest, value)
  entry[key] = inner
}

/**
 * The entry of `plugins` that a conflist of this network has.
 * @param network as in Podman's file, and as netavark gives it to a plugin
 */
export function entryOf(network: JsonObject): JsonObject {
  const entry: Record<string, unknown> = { type: 'flatnet', ipam: { type: 'flatnet' } }
  const bridge = network['network_interface']
  if (typeof bridge === 'string' && bridge !== '') entry['bridge'] = bridge
  const options = isObject(network['options']) ? network['options'] : {}
  for (const [key, text] of Object.entries(options)) {
    const path = (SHORT[key] ?? key).split('.')
    setAt(entry, path, typeof text === 'string' ? parsed(text) : text)
  }
  return entry
}

/** What a person may set: keys of the entry that make sense in an option. */
const OPTION_KEYS: readonly string[] = [
  ...TOP_KEYS.filter((key) => !['bridge', 'capabilities', 'prevResult', 'runtimeConfig'].includes(key)),
  'dns',
  ...Object.keys(SHORT),
]

/** The options that Flatnet does not know, each with its value and the nearest one. */
export function unknownOptions(network: JsonObject): string[] {
  const options = isObject(network['options']) ? network['options'] : {}
  return Object.entries(options)
    .filter(([key]) => !OPTION_KEYS.includes(key.split('.', 1)[0] ?? ''))
    .map(([key, value]) => {
      const [meant] = nearest(key, OPTION_KEYS)
      return `option ${key} is ${show(value)}: no such option; ${meant === undefined ? 'leave it out' : `write ${meant}`}`
    })
}

/** The inverse: what `entryOf` reads, without the bridge, which has a field of its own. */
export function optionsOf(entry: JsonObject): Record<string, string> {
  const options: Record<string, string> = {}
  const walk = (object: JsonObject, prefix: string): void => {
    for (const [key, value] of Object.entries(object)) {
      if (OWN_FIELDS.includes(prefix + key) || prefix + key === 'ipam.type') continue
      if (isObject(value)) walk(value, `${prefix}${key}.`)
      else options[prefix + key] = typeof value === 'string' ? value : JSON.stringify(value)
    }
  }
  walk(entry, '')
  return options
}
