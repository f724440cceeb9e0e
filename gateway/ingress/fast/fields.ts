/** Field lines of HTTP/1.1 heads: their grammar, and which lines pass unchanged. Pure. */

export interface Head {
  /** First line and fields, each with its CRLF. */
  readonly text: string
  /** The lines that are passed on as they are; undefined when that takes a second look, see `rawHeadersOf`. */
  readonly passed: string | undefined
}

/** @returns where the head ends, its empty line included; lines may end in LF alone; -1: not yet */
export function endOfHead(bytes: Buffer, from: number): number {
  const crlf = bytes.indexOf('\n\r\n', from, 'latin1')
  // With the LF at `crlf`: it ends the empty line of a head whose lines end in LF, in whatever pieces the head comes.
  const lf = bytes.subarray(0, crlf < 0 ? bytes.length : crlf + 1).indexOf('\n\n', from, 'latin1')
  return lf >= 0 ? lf + 2 : crlf < 0 ? -1 : crlf + 3
}

const FIELDS = "(?:[!#$%&'*+\\-.^_`|~0-9A-Za-z]+:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n)*$"
const REST_IS_FIELDS = new RegExp(FIELDS, 'y')

/** Whether `text` holds nothing but well-formed field lines from `start` to its end. */
export function areFields(text: string, start: number): boolean {
  REST_IS_FIELDS.lastIndex = start
  return REST_IS_FIELDS.test(text)
}

/** A length that a number holds exactly. */
export const LENGTH = /^\d{1,15}$/

/** `second-look`: the lines cannot be copied as a whole. `refuse`: the head is refused. */
export type Fate = 'pass' | 'drop' | 'second-look' | 'refuse'

/** Decides about one line, and notes in `seen` what it says. @param name lower case */
export type Look<Seen> = (seen: Seen, name: string, value: string) => Fate

/** First letters and lengths of the names to look at: two of three lines are skipped without reading their names. */
export class Names {
  readonly #lettersOf = new Uint32Array(64)

  constructor(names: Iterable<string>) {
    for (const name of names) this.#lettersOf[name.length]! |= letterBit(name.charCodeAt(0))
  }

  mayHave(letter: number, length: number): boolean {
    return length < 64 && (this.#lettersOf[length]! & letterBit(letter)) !== 0
  }
}

const letterBit = (code: number): number => 1 << ((code | 0x20) - 0x61)
const X = 0x78

/**
 * Shows `look` each line whose name is in `names` or begins with an x.
 * @param start of the lines, which `areFields` has accepted
 * @returns undefined: `look` has refused a line
 */
export function passFields<Seen>(
  text: string,
  start: number,
  names: Names,
  look: Look<Seen>,
  seen: Seen,
): { readonly passed: string | undefined } | undefined {
  let passed = ''
  let isPlain = true
  // Lines from here on are passed on and not copied yet.
  let run = start
  for (let from = start, next = 0; from < text.length; from = next) {
    const colon = text.indexOf(':', from)
    next = text.indexOf('\n', colon) + 1
    const letter = text.charCodeAt(from)
    if ((letter | 0x20) !== X && !names.mayHave(letter, colon - from)) continue
    const fate = look(seen, text.slice(from, colon).toLowerCase(), valueAt(text, colon + 1, next - 2))
    if (fate === 'refuse') return undefined
    if (fate === 'second-look') isPlain = false
    if (fate === 'pass') continue
    passed += text.slice(run, from)
    run = next
  }
  return { passed: isPlain ? passed + text.slice(run) : undefined }
}

/** @param text fields, each with its CRLF @returns undefined: malformed */
export const readTrailers = (text: string): string[] | undefined =>
  areFields(text, 0) ? fieldsOf(text, 0) : undefined

export const rawHeadersOf = ({ text }: Head): string[] => fieldsOf(text, text.indexOf('\n') + 1)

/** @param start of lines that `areFields` has accepted */
function fieldsOf(text: string, start: number): string[] {
  const raw: string[] = []
  for (let from = start; from < text.length; ) {
    const colon = text.indexOf(':', from)
    const end = text.indexOf('\r', colon)
    raw.push(text.slice(from, colon), valueAt(text, colon + 1, end))
    from = end + 2
  }
  return raw
}

function valueAt(text: string, from: number, to: number): string {
  let a = from
  let b = to
  while (a < b && isBlank(text.charCodeAt(a))) a++
  while (b > a && isBlank(text.charCodeAt(b - 1))) b--
  return text.slice(a, b)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
