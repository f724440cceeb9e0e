/** Words of other hosts that are shown to people. */

const MAX_WORDS = 300

/** Fit for a terminal: no control characters, and no flood. */
export const printable = (words: string): string => words.slice(0, MAX_WORDS).replaceAll(/[^\x20-\x7e]/g, ' ')

/** What another host gave as its reason, which may be anything. */
export const reasonText = (reason: unknown): string =>
  typeof reason === 'string' ? printable(reason) : 'no reason given'
