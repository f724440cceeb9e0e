/** JSON whose shape is not known yet. */

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export const isPositiveInteger = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0

/**
 * The object with those of its keys that differ from one of `names` in case alone under that name, the last one
 * winning: what Go's encoding/json makes of it. Runtimes are written in Go, and their structs without tags have
 * capitalised keys (containerd's CRI sends `HostPort`).
 * @see pkg.go.dev/encoding/json#Unmarshal
 */
export function foldKeys(object: JsonObject, names: readonly string[]): JsonObject {
  let folded: Record<string, unknown> | undefined
  for (const key of Object.keys(object)) {
    const name = names.includes(key) ? key : nameOf(key, names)
    if (name === undefined || (name === key && folded === undefined)) continue
    folded ??= { ...object }
    if (name !== key) delete folded[key]
    folded[name] = object[key]
  }
  return folded ?? object
}

function nameOf(key: string, names: readonly string[]): string | undefined {
  const lower = key.toLowerCase()
  for (const name of names) if (name.length === key.length && name.toLowerCase() === lower) return name
  return undefined
}
