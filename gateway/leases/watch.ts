/** Calls back when the leases on disk change: inotify on the store's folders, which may come and go. */

import { type FSWatcher, watch } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Millis } from '../../core/clock.ts'

/** One ADD writes three files; a start of many containers writes all the time, and must not starve the reader. */
const DEBOUNCE_MS: Millis = 50
const MAX_WATCHES = 256

/** inotify may be used up or missing (fs.inotify.max_user_watches); the timer of the reconciler then has to do. */
export class StoreWatch {
  readonly #root: string
  readonly #onChange: () => void
  readonly #watches = new Map<string, FSWatcher>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @param dataDir the store is its folder `ipam`, with a folder per network */
  constructor(dataDir: string, onChange: () => void) {
    this.#root = join(dataDir, 'ipam')
    this.#onChange = onChange
  }

  /** Watches what is there by now and forgets what is gone. Cheap: to be called on each change and each round. */
  async refresh(): Promise<void> {
    const wanted = new Set(await this.#folders())
    if (this.#isClosed) return
    for (const path of this.#watches.keys()) if (!wanted.has(path)) this.#drop(path)
    for (const path of [...wanted].slice(0, MAX_WATCHES)) this.#watch(path)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const path of [...this.#watches.keys()]) this.#drop(path)
  }

  /** While the store does not exist its parent is watched for it. */
  async #folders(): Promise<string[]> {
    try {
      const entries = await readdir(this.#root, { withFileTypes: true })
      return [this.#root, ...entries.filter((e) => e.isDirectory()).map((e) => join(this.#root, e.name))]
    } catch {
      return [dirname(this.#root)]
    }
  }

  #watch(path: string): void {
    if (this.#watches.has(path)) return
    try {
      const watcher = watch(path, { persistent: false }, () => this.#changed(path))
      watcher.on('error', () => this.#drop(path))
      this.#watches.set(path, watcher)
    } catch {
      // ENOENT: gone since; ENOSPC, EMFILE: used up. The next refresh tries again.
    }
  }

  #drop(path: string): void {
    this.#watches.get(path)?.close()
    this.#watches.delete(path)
  }

  /** A folder that was deleted and made again has another inode: its watch is made anew each time. */
  #changed(path: string): void {
    if (path !== this.#root && this.#watches.size > 0 && path === dirname(this.#root)) this.#drop(path)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.refresh().then(
        () => this.#onChange(),
        () => this.#onChange(),
      )
    }, DEBOUNCE_MS)
  }
}
