/** An endpoint, `host:port`, in parts and as text. */

export interface HostPort {
  /** An address, or a name. */
  readonly host: string
  readonly port: number
}

/** `10.0.0.7:7443`, `[fd00::7]:7443` or `web.example:7443`. */
export const formatEndpoint = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
