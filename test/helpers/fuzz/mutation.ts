/** Inputs for parsers: seeds that were changed a little, or a lot. A find is shrunk to few changes. */
import fc from 'fast-check'

/** Numbers and signs at which parsers break. */
const EDGES = [
  0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x2f, 0x30, 0x3a, 0x5b, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xff,
]
const WORDS = [
  'null',
  '-1',
  '1e999',
  '4294967296',
  '""',
  '[]',
  '{}',
  '__proto__',
  '\r\n\r\n',
  '\u0000',
  '\ud800',
  '../',
]
const MAX_INPUT = 65_536

type Edit =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'cut'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number; readonly times: number }

const at = fc.nat(4_095)

/** @param words what the parser's language is made of */
function edits(words: readonly string[]): fc.Arbitrary<Edit> {
  const word = fc.constantFrom(...WORDS, ...words).map((text) => Buffer.from(text))
  return fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
    fc.record({
      kind: fc.constant('set' as const),
      at,
      byte: fc.oneof(fc.constantFrom(...EDGES), fc.nat(255)),
    }),
    fc.record({
      kind: fc.constant('insert' as const),
      at,
      bytes: fc.oneof(word, fc.uint8Array({ maxLength: 16 })),
    }),
    fc.record({ kind: fc.constant('cut' as const), at, length: fc.nat(64) }),
    fc.record({ kind: fc.constant('repeat' as const), at, length: fc.nat(32), times: fc.nat(200) }),
  )
}

function changed(bytes: Buffer, edit: Edit): Buffer {
  const place = edit.at % (bytes.length + 1)
  const before = bytes.subarray(0, place)
  switch (edit.kind) {
    case 'flip':
    case 'set': {
      if (place === bytes.length) return bytes
      const copy = Buffer.from(bytes)
      copy[place] = edit.kind === 'set' ? edit.byte : copy[place]! ^ (1 << edit.bit)
      return copy
    }
    case 'insert':
      return Buffer.concat([before, edit.bytes, bytes.subarray(place)])
    case 'cut':
      return Buffer.concat([before, bytes.subarray(place + edit.length)])
    case 'repeat': {
      const part = bytes.subarray(place, place + edit.length)
      return Buffer.concat([before, ...Array.from({ length: edit.times }, () => part), bytes.subarray(place)])
    }
  }
}

export const mutated = (seeds: readonly Buffer[], words: readonly string[]): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.constantFrom(...seeds), fc.array(edits(words), { maxLength: 6 }))
    .map(([seed, all]) => all.reduce(changed, seed).subarray(0, MAX_INPUT))
