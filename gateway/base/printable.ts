/** Makes text of other hosts fit to be shown. */

const MAX_WORDS = 300

/** Fit for a terminal: no control characters, and bounded in length. */
export const printable = (words: string): string => words.slice(0, MAX_WORDS).replaceAll(/[^\x20-\x7e]/g, ' ')

/** The reason that another host gave; its message may hold anything in that place. */
export const reasonText = (reason: unknown): string =>
  typeof reason === 'string' ? printable(reason) : 'no reason given'
