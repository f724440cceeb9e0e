/** Reads typed values out of untrusted JSON and collects every problem: key, value, what is allowed. */

import { isObject, type JsonObject } from '../core/json.ts'

/** What a section that is written in the wrong place may hold; a problem is printed and logged. */
const SECRETS = ['password', 'secret']

/** A value for an error message: JSON without passwords, cut at 80 characters. */
export function show(value: unknown): string {
  const hidden = (key: string, inner: unknown): unknown => (SECRETS.includes(key) ? '…' : inner)
  const text = JSON.stringify(value, hidden) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** One object being read; `prefix` is its path, e.g. `ipam.`. Absent keys give the fallback, wrong ones a problem. */
export class Reader {
  readonly #object: JsonObject
  readonly #prefix: string
  readonly problems: string[]
  constructor(object: JsonObject, prefix = '', problems: string[] = []) {
    this.#object = object
    this.#prefix = prefix
    this.problems = problems
  }

  get(key: string): unknown {
    return this.#object[key]
  }

  has(key: string): boolean {
    return this.#object[key] !== undefined
  }

  problem(key: string, allowed: string, value: unknown = this.#object[key]): void {
    const what = value === undefined ? 'is missing' : `is ${show(value)}`
    this.problems.push(`${this.#prefix}${key} ${what}: ${allowed}`)
  }

  string(key: string, fallback: string): string {
    return this.#typed(key, fallback, (v) => typeof v === 'string' && v.length > 0, 'a non-empty string')
  }

  boolean(key: string, fallback: boolean): boolean {
    return this.#typed(key, fallback, (v) => typeof v === 'boolean', 'true or false')
  }

  integer(key: string, fallback: number | undefined, min: number, max: number): number {
    const fits = (v: unknown): boolean => typeof v === 'number' && Number.isInteger(v) && v >= min && v <= max
    return this.#typed(key, fallback, fits, `a whole number from ${min} to ${max}`)
  }

  /** A string that `parse` accepts; the parsed value is returned. */
  parsed<T>(
    key: string,
    fallback: string | undefined,
    allowed: string,
    parse: (text: string) => T | undefined,
  ): T | undefined {
    const value = this.#object[key] ?? fallback
    const result = typeof value === 'string' ? parse(value) : undefined
    if (result === undefined) this.problem(key, allowed, value)
    return result
  }

  /** null is nothing, as for Go's encoding/json. */
  object(key: string): Reader {
    const value = this.#object[key] ?? undefined
    if (value !== undefined && !isObject(value)) this.problem(key, 'must be an object')
    return new Reader(isObject(value) ? value : {}, `${this.#prefix}${key}.`, this.problems)
  }

  array(key: string): readonly unknown[] {
    const value = this.#object[key]
    if (value === undefined || value === null) return []
    if (Array.isArray(value)) return value
    this.problem(key, 'must be a list')
    return []
  }

  /** Reports every key that is not in `known`, with the nearest one that is. */
  refuseUnknown(known: readonly string[]): void {
    for (const key of Object.keys(this.#object)) {
      if (known.includes(key)) continue
      const near = known.find((k) => k.toLowerCase() === key.toLowerCase().replaceAll(/[_-]/g, ''))
      this.problem(key, near === undefined ? `no such key; known are ${known.join(', ')}` : `write ${near}`)
    }
  }

  #typed<T>(key: string, fallback: T | undefined, fits: (value: unknown) => boolean, allowed: string): T {
    const value = this.#object[key]
    if (value !== undefined && fits(value)) return value as T
    if (value !== undefined || fallback === undefined) this.problem(key, `must be ${allowed}`)
    return fallback as T
  }
}
