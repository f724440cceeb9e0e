/** Reads and writes the clear 8 bytes of every datagram: key, form, and which part of which message. Pure. */
import type { Form } from '../types.ts'

/**
 * `{ index u32, form u2 part u6, parts u8, id u16 }`, big-endian. Then follows:
 * whole, part 0: `counter u64 | tag 16 | text`, other parts: text; record and control: `counter u64 | text | tag 16`.
 */
export const HEADER = 8
export const COUNTER = 8
export const TAG = 16
/** What sealing adds: once to a message of `whole`, and to each datagram of `record` and control. */
export const SEAL = COUNTER + TAG

export const WireForm = { whole: 1, record: 2, control: 3 } as const satisfies Record<
  Form | 'control',
  number
>

/** `part` has six bits. */
export const MAX_PARTS = 64

const FORM_SHIFT = 30
const PART_SHIFT = 24
const PARTS_SHIFT = 16

/** Bytes 4 to 8 as one number: form, part, parts and id. Adding `NEXT_PART` gives that of the next part. */
export const headerWord = (form: number, part: number, parts: number, id: number): number =>
  ((form << FORM_SHIFT) | (part << PART_SHIFT) | (parts << PARTS_SHIFT) | (id & 0xffff)) >>> 0
export const NEXT_PART = 1 << PART_SHIFT

export const formOf = (word: number): number => word >>> FORM_SHIFT
export const partOf = (word: number): number => (word >>> PART_SHIFT) & 63
export const partsOf = (word: number): number => (word >>> PARTS_SHIFT) & 255
export const idOf = (word: number): number => word & 0xffff

/** Whether part and parts are possible. `whole` does not authenticate them before all parts are there. */
export function isHeaderWord(word: number): boolean {
  const parts = partsOf(word)
  return parts >= 1 && parts <= MAX_PARTS && partOf(word) < parts
}

/**
 * The message number with the low 16 bits `id` that is nearest to `newest`.
 * @returns below 0: there is none, since numbers begin at 1
 */
export const numberOf = (id: number, newest: number): number => newest + (((id - newest) << 16) >> 16)
