/** Header fields as Node has them, and how their values are read. Pure. */

/** `[name, value, name, value, …]`: order, case and repetition survive. */
export type RawHeaders = readonly string[]

/** @param name lower case */
export function valuesOf(raw: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < raw.length; i += 2) if (raw[i]!.toLowerCase() === name) values.push(raw[i + 1]!)
  return values
}

export const splitList = (value: string): string[] =>
  value
    .split(',')
    .map((t) => t.trim())
    .filter((t) => t !== '')
