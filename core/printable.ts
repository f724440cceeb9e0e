/** Makes text fit to be shown in a terminal. */

/** Control characters in foreign names would move the reader's cursor, or worse; line ends are among them. */
export const printable = (text: string): string => text.replaceAll(/\p{C}/gu, '?')
