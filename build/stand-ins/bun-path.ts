/** Stands in for `node:path`: three functions, for absolute paths without `.`, `..` or `//`. */

/** The first part is a folder, the others are names. */
export const join = (...parts: readonly string[]): string => parts.join('/')

export function dirname(path: string): string {
  const at = path.lastIndexOf('/')
  return at > 0 ? path.slice(0, at) : '/'
}

export const basename = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
