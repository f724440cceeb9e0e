/**
 * Reads the plugin's file into the page cache once, which is empty after a boot.
 *
 * A plugin that runs before faults its pages in one by one, which costs each ADD a fifth more until the next boot.
 */

import { open } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from '../../core/log.ts'

const CHUNK_BYTES = 256 * 1024
/** Between chunks, so that requests and other readers of the disk come first: 111 MB take a second or two. */
const PAUSE_MS = 2
/** Twice the size of our largest executable: a longer file is something else and stays out of the page cache. */
const MAX_BYTES = 300 * 1024 * 1024

/**
 * Ends with the file, with `signal`, or with the first error, which is logged for debugging and changes nothing else.
 */
export async function readThrough(path: string, signal: AbortSignal, log: Log): Promise<void> {
  try {
    await using file = await open(path)
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    for (let at = 0; at < MAX_BYTES; ) {
      const { bytesRead } = await file.read(chunk, 0, chunk.byteLength, at)
      if (bytesRead === 0) break
      at += bytesRead
      await pause(PAUSE_MS, undefined, { ref: false, signal })
    }
    log.debug({ endpoint: path }, 'plugin read into the page cache')
  } catch (err) {
    if (!signal.aborted) log.debug({ endpoint: path, err }, 'plugin not read into the page cache')
  }
}
