/** Which certificate a client gets, by the name that it asks for (SNI, RFC 6066 3). Pure. */

export interface Named {
  /** Lower case: `shop.example`, `*.shop.example`. */
  readonly names: readonly string[]
}

/**
 * The exact name first, then a wildcard for its first label (RFC 6125 6.4.3).
 * @returns undefined: none has the name
 */
export function choose<C extends Named>(serverName: string, certificates: readonly C[]): C | undefined {
  const name = serverName.toLowerCase().replace(/\.$/, '')
  const dot = name.indexOf('.')
  const wildcard = dot > 0 ? `*${name.slice(dot)}` : undefined
  return (
    certificates.find(({ names }) => names.includes(name)) ??
    (wildcard === undefined ? undefined : certificates.find(({ names }) => names.includes(wildcard)))
  )
}
