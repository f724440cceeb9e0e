/** Bytes of tests as annotated hex, and the shape of a golden vector. */
import { readFileSync } from 'node:fs'
import type { Codec } from 'netlink-ts/codec.ts'

/** `0800 0100 7f000001  # IFA_ADDRESS`: ignores white space, and text after `#`. */
export function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replace(/#.*$/gm, '').replace(/\s+/g, ''))
}

/** A file below test/fixtures/netlink-ts. */
export const hexFile = (name: string): Uint8Array =>
  hex(readFileSync(new URL(`../../fixtures/netlink-ts/${name}`, import.meta.url), 'utf8'))

export interface Vector<T = unknown> {
  /** The command that produced the bytes. */
  readonly name: string
  readonly codec: Codec<T>
  readonly bytes: Uint8Array
  /** What the bytes mean: all of it, or with `partial` the part worth writing down. */
  readonly value: T
  readonly partial?: true
  /** Why encoding gives the same meaning in other bytes, e.g. another order of attributes. */
  readonly inexact?: string
}

/** Checks the type of the value against the codec, which a list of vectors of several codecs could not. */
// biome-ignore lint/suspicious/noExplicitAny: a list of vectors of all codecs
export const vector = <T>(v: Vector<T>): Vector<any> => v

export const ip = (text: string): Uint8Array => Uint8Array.from(text.split('.'), Number)
