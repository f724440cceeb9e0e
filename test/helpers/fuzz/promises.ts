/** What harnesses ask of a parser: its own errors alone, and the same in pieces as in one. */

type ErrorClass = abstract new (...args: never[]) => Error

/** @returns undefined when the parser refuses it by an error of its own */
export function taken<T>(parse: () => T, ...own: readonly ErrorClass[]): T | undefined {
  try {
    return parse()
  } catch (err) {
    if (own.some((known) => err instanceof known)) return undefined
    throw err
  }
}

/** The halves of a stream have to mean what the whole does. */
export function* split(bytes: Buffer): Generator<Buffer> {
  const middle = bytes.length >> 1
  yield bytes.subarray(0, middle)
  yield bytes.subarray(middle)
}

export const json = (bytes: Buffer): unknown => taken(() => JSON.parse(bytes.toString()), SyntaxError)
