/** Text of any code points, for fuzz tests. */
import fc from 'fast-check'

/** Avoids fast-check's units `binary` and `grapheme`, which take a second to make a table of all code points. */
export const anyText = (maxLength?: number): fc.Arbitrary<string> =>
  fc
    .array(
      fc.integer({ min: 0, max: 0x10ffff }).filter((point) => point < 0xd800 || point > 0xdfff),
      maxLength === undefined ? {} : { maxLength },
    )
    .map((points) => String.fromCodePoint(...points))
