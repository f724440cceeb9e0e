/** Reads lines of Nebula's log, which differ between releases. Pure. */

export interface LogLine {
  readonly isComplaint: boolean
  /** What is said of it to a person: its message, and the error behind it. */
  readonly text: string
  /** Of a tunnel to another host; absent: the line is about none. */
  readonly tunnel?: { readonly address: string; readonly state: 'up' | 'timed out' }
}

const TUNNEL = { 'Handshake message received': 'up', 'Handshake timed out': 'timed out' } as const

/** `key=value` or `key="quoted value"`, as logrus (until 1.10) and slog (since 1.11) write them. */
function fieldOf(line: string, key: string): string | undefined {
  const quoted = `"((?:[^"\\\\]|\\\\.)*)"`
  const found = new RegExp(`(?:^| )${key}=(?:${quoted}|(\\S*))`).exec(line)
  return found?.[1]?.replace(/\\(.)/g, '$1') ?? found?.[2]
}

/** @returns undefined: nothing that a person or the gateway has to know */
export function readLine(line: string): LogLine | undefined {
  const level = fieldOf(line, 'level')?.toLowerCase()
  const message = fieldOf(line, 'msg')
  // What is no line of the log comes before a crash.
  if (level === undefined || message === undefined) return { isComplaint: true, text: line }
  const error = fieldOf(line, 'error')
  const text = error === undefined ? message : `${message}: ${error}`
  const state = TUNNEL[message as keyof typeof TUNNEL]
  // Until 1.9 one address, since 1.10 a list.
  const address = fieldOf(line, 'vpnIp') ?? /^\[([^\]\s]+)/.exec(fieldOf(line, 'vpnAddrs') ?? '')?.[1]
  if (state !== undefined && address !== undefined)
    return { isComplaint: false, text, tunnel: { address, state } }
  // 1.6 calls it information that a host has a certificate of another CA.
  const isComplaint = level !== 'info' || message === 'Invalid certificate from host'
  return isComplaint && message !== NO_LIGHTHOUSE ? { isComplaint, text } : undefined
}

/** As it is meant where each host knows all others. */
const NO_LIGHTHOUSE =
  'No lighthouse.hosts configured, this host will only be able to initiate tunnels with static_host_map entries'

/** What a person does about a complaint, with the complaint; the others speak for themselves. */
export function withAdvice(text: string, port: number): string {
  if (/address already in use/.test(text))
    return `another program has UDP port ${port}: ss -lunp 'sport = :${port}' names it; end it, or set paths.nebula.port on every host`
  if (/could not find ca for the certificate/.test(text))
    return 'a host has a certificate of another CA: sign it by the CA of this cluster, or add its CA to ca.crt on both hosts'
  if (/certificate is expired|expired certificate|certificate has expired/i.test(text))
    return `${text}: a certificate there or here has expired, or a clock is wrong`
  return text
}
