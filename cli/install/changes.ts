/** Changes to the file system and the machine, each told in one line; in a dry run only told. */

import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { replaceFile, syncFolder } from '../../kernel/durable.ts'
import type { Host } from '../host/host.ts'
import { CliError, type Io, printLine } from '../ui/output.ts'
import { changedAt } from './executable.ts'

export class Changes {
  readonly #io: Io
  readonly #host: Host
  readonly isDryRun: boolean

  constructor(io: Io, host: Host, isDryRun: boolean) {
    this.#io = io
    this.#host = host
    this.isDryRun = isDryRun
  }

  tell(verb: string, what: string, note = ''): void {
    printLine(this.#io, `${verb.padEnd(9)} ${what}${note === '' ? '' : `  (${note})`}`)
  }

  #will(verb: string, what: string, note = ''): boolean {
    this.tell(this.isDryRun ? `would ${verb}` : verb, what, note)
    return !this.isDryRun
  }

  write(path: string, text: string, note = ''): void {
    if (!this.#will('write', path, note)) return
    mkdirSync(dirname(path), { recursive: true })
    replaceFile(path, text, { fsync: true })
  }

  /** Keeps what is there as `<path>.bak`, `.bak2`, ...: names that neither Podman nor systemd reads. */
  backUp(path: string): void {
    let copy = `${path}.bak`
    for (let n = 2; statSync(copy, { throwIfNoEntry: false }) !== undefined; n++) copy = `${path}.bak${n}`
    if (this.#will('back up', path, copy)) copyFileSync(path, copy)
  }

  /**
   * A copy with a new inode of ours, put in place by rename: a runtime that executes the old file goes on with it, and
   * none ever meets half a file or ETXTBSY. `linkFrom` saves the space where it is on the same file system.
   */
  executable(source: string, path: string, linkFrom?: string): void {
    if (!this.#will('write', path, linkFrom === undefined ? `copy of ${source}` : `same file as ${linkFrom}`))
      return
    mkdirSync(dirname(path), { recursive: true })
    this.#sweep(path)
    const temp = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
    try {
      if (linkFrom === undefined || !linked(linkFrom, temp)) {
        copyFileSync(source, temp, constants.COPYFILE_FICLONE)
        chmodSync(temp, 0o755)
        const seconds = changedAt(statSync(source)) / 1000
        utimesSync(temp, seconds, seconds)
      }
      renameSync(temp, path)
      syncFolder(dirname(path))
    } finally {
      rmSync(temp, { force: true })
    }
  }

  /** What installs that were killed have left: 100 MB each. */
  #sweep(path: string): void {
    const name = new RegExp(`^\\.${basename(path)}\\.(\\d+)\\.tmp$`)
    for (const entry of this.#host.list(dirname(path))) {
      const pid = name.exec(entry)?.[1]
      if (pid !== undefined && !existsSync(`/proc/${pid}`))
        rmSync(join(dirname(path), entry), { force: true })
    }
  }

  remove(path: string, note = ''): void {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return
    if (this.#will('remove', path, note)) rmSync(path, { recursive: true, force: true })
  }

  /** Only when nothing is left in it. */
  removeEmpty(dir: string): void {
    if (this.isDryRun || this.#host.list(dir).length > 0) return
    try {
      rmdirSync(dir)
      this.tell('remove', dir)
    } catch {
      // Absent, or a mount point: nothing that we made.
    }
  }

  /** @throws {CliError} with the program's own words */
  run(what: string, command: string, ...args: string[]): void {
    if (!this.#will('run', what)) return
    const ran = this.#host.run(command, args)
    if (ran?.code === 0) return
    const said = ran === undefined ? `there is no ${command}` : ran.stderr.trim() || `exit code ${ran.code}`
    throw new CliError(
      `${what}: ${said}`,
      'put that right and run the same command again; it goes on where it stopped',
    )
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch {
    return false
  }
}
