/** The DNS servers of this host, from its resolv.conf: read again when the file has changed. */

import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Clock, Millis } from '../../core/clock.ts'
import { hasCode } from '../../core/errors.ts'

export interface DnsServer {
  readonly host: string
  readonly port: number
}

const RESOLV_CONF = '/etc/resolv.conf'
/** What systemd-resolved itself asks; its stub at 127.0.0.53 may be switched off, or in another namespace. */
const BEHIND_STUB = '/run/systemd/resolve/resolv.conf'
const STUBS = ['127.0.0.53', '127.0.0.54']
/** MAXNS of glibc, in each file. */
const MAX_SERVERS = 3
/** A stat of the file for a question, at most this often. */
const LOOK_MS: Millis = 1_000

/** resolv.conf(5): `nameserver ADDRESS`, with a zone for link-local ones. */
export function parseResolvConf(text: string): string[] {
  const found = text.split('\n').flatMap((line) => /^nameserver[ \t]+(\S+)/.exec(line)?.[1] ?? [])
  return found.filter((address) => isIP(address) !== 0).slice(0, MAX_SERVERS)
}

export interface HostServersDeps {
  readonly clock: Pick<Clock, 'monotonic'>
  /** Addresses of our own: asking ourselves would go round. */
  isOwn(address: string): boolean
  readonly paths?: { readonly resolvConf: string; readonly behindStub: string }
}

export class HostServers {
  readonly #deps: HostServersDeps
  #servers: Promise<readonly DnsServer[]> | undefined
  #lookedAt: Millis = Number.NEGATIVE_INFINITY
  #seen = ''

  constructor(deps: HostServersDeps) {
    this.#deps = deps
  }

  /** The first to ask first; empty: this host has none. */
  async current(): Promise<readonly DnsServer[]> {
    const now = this.#deps.clock.monotonic()
    if (this.#servers === undefined || now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now
      const before = this.#servers
      this.#servers = this.#changed().then((isChanged) =>
        isChanged || before === undefined ? this.#read() : before,
      )
    }
    const { isOwn } = this.#deps
    return (await this.#servers).filter(({ host }) => !isOwn(host))
  }

  async #changed(): Promise<boolean> {
    const { resolvConf, behindStub } = this.#paths
    const seen = (await Promise.all([resolvConf, behindStub].map(identityOf))).join()
    const isChanged = seen !== this.#seen
    this.#seen = seen
    return isChanged
  }

  async #read(): Promise<DnsServer[]> {
    const { resolvConf, behindStub } = this.#paths
    const hosts = parseResolvConf(await textOf(resolvConf))
    const behind = hosts.some((host) => STUBS.includes(host)) ? parseResolvConf(await textOf(behindStub)) : []
    return [...new Set([...hosts, ...behind])].map((host) => ({ host, port: 53 }))
  }

  get #paths(): { readonly resolvConf: string; readonly behindStub: string } {
    return this.#deps.paths ?? { resolvConf: RESOLV_CONF, behindStub: BEHIND_STUB }
  }
}

/** Programs replace the file, or write into it. */
async function identityOf(path: string): Promise<string> {
  try {
    const { ino, mtimeMs, size } = await stat(path)
    return `${ino} ${mtimeMs} ${size}`
  } catch {
    // As a file without servers: `textOf` says the same.
    return 'none'
  }
}

/** resolv.conf(5): without the file the server is the local one, which for a gateway is none. */
async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (err) {
    if (hasCode(err, 'ENOENT') || hasCode(err, 'EACCES') || hasCode(err, 'EISDIR')) return ''
    throw err
  }
}
