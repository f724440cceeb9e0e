/** Pages as plain text, which people read in a terminal. */

import { printable } from '../../../core/printable.ts'

export const plain = (lines: readonly string[]): string =>
  lines.map((line) => `${printable(line)}\n`).join('')
