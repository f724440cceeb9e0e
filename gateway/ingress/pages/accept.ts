/** Which form of the gateway's pages a client wants, by its Accept header (RFC 9110 12.5.1). */

export type Form = 'html' | 'json' | 'text'

/** @param fallback for clients that take anything, such as curl */
export function formOf(accept: string | undefined, fallback: Form): Form {
  let best: { form: Form; q: number } | undefined
  for (const part of (accept ?? '').slice(0, 1000).split(',')) {
    const [type = '', ...params] = part.split(';').map((p) => p.trim().toLowerCase())
    const form = FORMS.get(type)
    const q = Number(params.find((p) => p.startsWith('q='))?.slice(2) ?? 1)
    if (form !== undefined && q > (best?.q ?? 0)) best = { form, q }
  }
  return best?.form ?? fallback
}

/** A Map: `constructor` and `__proto__` are names that clients send, and objects have them. */
const FORMS: ReadonlyMap<string, Form> = new Map([
  ['text/html', 'html'],
  ['application/xhtml+xml', 'html'],
  ['application/json', 'json'],
  ['text/plain', 'text'],
])
