/** The certificate files of flatnet.yaml: read at start, and again when they change. */

import { readFile, stat } from 'node:fs/promises'
import type { CertificateFiles } from '../../../conf/ingress-tls.ts'
import type { Millis } from '../../../core/clock.ts'
import { hasCode } from '../../../core/errors.ts'
import type { Log } from '../../../core/log.ts'
import { type Certificate, datesProblem, readCertificate, unusable } from './certificate.ts'

interface Entry {
  readonly files: CertificateFiles
  /** Of both files when they were last read: a new file, or new content, has another. */
  stamp: string
  certificate: Certificate | undefined
  problem: string | undefined
}

export class CertificateFileSet {
  readonly #entries: readonly Entry[]
  readonly #log: Log
  #isReading = false

  constructor(pairs: readonly CertificateFiles[], log: Log) {
    this.#entries = pairs.map((files) => ({ files, stamp: '', certificate: undefined, problem: undefined }))
    this.#log = log
  }

  get certificates(): readonly Certificate[] {
    return this.#entries.flatMap(({ certificate }) => certificate ?? [])
  }

  problems(now: Millis): string[] {
    return this.#entries.flatMap(({ files, certificate, problem }) => {
      const dates = certificate === undefined ? undefined : datesProblem(files, certificate, now)
      return [problem, dates].filter((text) => text !== undefined)
    })
  }

  /**
   * Reads what has changed. What cannot be used leaves the certificate before it in use: programs write certificate
   * and key one after the other.
   * @returns whether another certificate is in use
   */
  async refresh(): Promise<boolean> {
    // The files may be on a disk that hangs.
    if (this.#isReading) return false
    this.#isReading = true
    try {
      let changed = false
      for (const entry of this.#entries) if (await this.#refresh(entry)) changed = true
      return changed
    } finally {
      this.#isReading = false
    }
  }

  async #refresh(entry: Entry): Promise<boolean> {
    const stamp = `${await stampOf(entry.files.cert)} ${await stampOf(entry.files.key)}`
    if (stamp === entry.stamp) return false
    const isFirst = entry.stamp === ''
    entry.stamp = stamp
    const endpoint = entry.files.cert
    try {
      const texts = { cert: await textOf(entry.files, 'cert'), key: await textOf(entry.files, 'key') }
      entry.certificate = readCertificate(entry.files, texts)
      entry.problem = undefined
      if (!isFirst) this.#log.info({ endpoint }, 'certificate for browsers was read again')
      return true
    } catch (err) {
      entry.problem = err instanceof Error ? err.message : String(err)
      this.#log.error({ endpoint, err }, 'certificate for browsers could not be used')
      return false
    }
  }
}

/** `stat` follows links, which is how certbot puts a new certificate in place. */
async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path)
    return `${ino}/${size}/${mtimeMs}/${ctimeMs}`
  } catch (err) {
    return hasCode(err, 'ENOENT') ? 'none' : 'unreadable'
  }
}

/** Real ones hold a few KiB. */
const MAX_BYTES = 1 << 20

async function textOf(files: CertificateFiles, key: 'cert' | 'key'): Promise<string> {
  const path = files[key]
  try {
    if ((await stat(path)).size <= MAX_BYTES) return await readFile(path, 'utf8')
  } catch (cause) {
    const what = hasCode(cause, 'ENOENT') ? 'does not exist' : 'cannot be read'
    throw unusable(files, key, what, 'put it there, readable for the gateway, or name another file', cause)
  }
  throw unusable(files, key, 'is larger than 1 MiB', 'name a PEM file')
}
