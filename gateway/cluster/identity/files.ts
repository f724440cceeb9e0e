/**
 * `<dataDir>/cluster`: this host's identity in its cluster, and the cluster's documents.
 *
 * Each file is replaced as a whole and durably.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { LowSync, type SyncAdapter } from 'lowdb'
import { FlatnetError, hasCode } from '../../../core/errors.ts'
import { replaceFile, syncFolder } from '../../../kernel/durable.ts'

/** `ca.key` is only where hosts may be admitted. `members.json` is written last: where it is, all the others are. */
const NAMES = {
  caPem: 'ca.crt',
  caKeyPem: 'ca.key',
  certPem: 'host.crt',
  keyPem: 'host.key',
  members: 'members.json',
  tokens: 'tokens.json',
  endpoints: 'endpoints.json',
  browserCaPem: 'browser-ca.crt',
  browserCertPem: 'browser.crt',
  browserKeyPem: 'browser.key',
} as const
export type ClusterFile = keyof typeof NAMES

const SECRET: ReadonlySet<ClusterFile> = new Set(['caKeyPem', 'keyPem', 'tokens', 'browserKeyPem'])

export class ClusterFiles {
  readonly folder: string

  constructor(dataDir: string) {
    this.folder = join(dataDir, 'cluster')
  }

  path(file: ClusterFile): string {
    return join(this.folder, NAMES[file])
  }

  /** Whether this host is in a cluster; what was begun and not ended does not count. */
  get isComplete(): boolean {
    return existsSync(this.path('members'))
  }

  read(file: ClusterFile): string | undefined {
    try {
      return readFileSync(this.path(file), 'utf8')
    } catch (err) {
      if (hasCode(err, 'ENOENT')) return undefined
      throw err
    }
  }

  /** @throws {FlatnetError} ERR_FLATNET_IO: the disk is full, or not to be written; the old content stands */
  write(file: ClusterFile, text: string): void {
    const path = this.path(file)
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 })
      replaceFile(path, text, { fsync: true, mode: SECRET.has(file) ? 0o600 : 0o644 })
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new FlatnetError('ERR_FLATNET_IO', `cannot write ${path} (${why}): make room, or run as root`, {
        cause,
      })
    }
  }

  remove(file: ClusterFile): void {
    rmSync(this.path(file), { force: true })
  }

  /**
   * Out of the way, so that this host is in no cluster, in one step. Never deleted: a CA's key cannot be made again.
   * @returns where it is now
   */
  setAside(now: Date): string {
    const stamp = now.toISOString().replaceAll(/[-:]|\.\d+/g, '')
    let to = `${this.folder}.left-${stamp}`
    for (let n = 2; existsSync(to); n++) to = `${this.folder}.left-${stamp}-${n}`
    renameSync(this.folder, to)
    syncFolder(dirname(this.folder))
    return to
  }

  /**
   * One of the JSON files, by lowdb.
   * @param parse throws when the text is not what it should be
   */
  database<T>(file: ClusterFile, parse: (text: string) => T, fallback: T): LowSync<T> {
    const adapter: SyncAdapter<T> = {
      read: () => {
        const text = this.read(file)
        return text === undefined ? null : parse(text)
      },
      write: (data) => this.write(file, `${JSON.stringify(data)}\n`),
    }
    return new LowSync<T>(adapter, fallback)
  }
}
