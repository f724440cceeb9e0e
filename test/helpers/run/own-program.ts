/** Command lines of helpers that run as programs of their own, mostly in the namespace of a host. */

/** Node with this file as its program; numbers are written out. */
export const ownProgram = (file: string, ...args: readonly (string | number)[]): [string, ...string[]] => [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  file,
  ...args.map(String),
]
