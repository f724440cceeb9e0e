/** Pages as plain text, which people read in a terminal. */

/** A name of a request or of a container may hold escapes that would move the reader's cursor, or worse. */
const UNPRINTABLE = /\p{C}/gu

export const plain = (lines: readonly string[]): string =>
  lines.map((line) => `${line.replaceAll(UNPRINTABLE, '?')}\n`).join('')
