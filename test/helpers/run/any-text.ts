/** Text of any code points, for fuzz tests. */
import fc from 'fast-check'

/** Not fast-check's units `binary` and `grapheme`, which first make a table of all code points: a second of work. */
export const anyText = (maxLength?: number): fc.Arbitrary<string> =>
  fc
    .array(
      fc.integer({ min: 0, max: 0x10ffff }).filter((point) => point < 0xd800 || point > 0xdfff),
      maxLength === undefined ? {} : { maxLength },
    )
    .map((points) => String.fromCodePoint(...points))
