/**
 * Moves what points into a container's path space below `/~name`, for containers named by path.
 *
 * Pure.
 */

export interface RewriteFacts {
  /** `/~web` */
  readonly prefix: string
  /** Host header of the request, raw. */
  readonly host: string
  /** `10.100.1.10:80`: some applications build URLs from what they listen on. */
  readonly endpoint: string
}

/**
 * Absolute paths and URLs of the same origin get the prefix; relative ones already resolve below it; other origins
 * stay. What already has the prefix was made by an application that knows X-Forwarded-Prefix.
 * Bodies are never rewritten.
 */
export function rewriteHeader(
  facts: RewriteFacts,
  name: 'location' | 'content-location' | 'set-cookie',
  value: string,
): string {
  return name === 'set-cookie' ? cookie(facts, value) : url(facts, value)
}

function url({ prefix, host, endpoint }: RewriteFacts, value: string): string {
  const [, authority = '', path = ''] = /^(?:https?:)?\/\/([^/?#]*)(.*)$/i.exec(value) ?? []
  if (authority === '') return value.startsWith('/') ? below(prefix, value) : value
  const same = [host, endpoint, endpoint.replace(/:80$/, '')].some(
    (o) => o.toLowerCase() === authority.toLowerCase(),
  )
  return same ? below(prefix, path.startsWith('/') ? path : `/${path}`) : value
}

/** Without Path, a browser takes the folder of the request, which has the prefix. */
const cookie = ({ prefix }: RewriteFacts, value: string): string =>
  value.replace(/(;\s*path\s*=\s*)(\/[^;]*)/i, (_, key: string, path: string) => key + below(prefix, path))

const below = (prefix: string, path: string): string =>
  path === prefix || path.startsWith(`${prefix}/`) ? path : prefix + path
