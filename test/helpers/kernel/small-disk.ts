/**
 * A file system of its own for a test, of a size and with options that can change: full or read-only at will. Needs
 * root.
 */
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { run } from './netns.ts'

export interface SmallDisk {
  readonly path: string
  /** mount(8) options, e.g. `ro` or `size=64k`. */
  remount(options: string): void
}

export function smallDisk(t: Pick<Test, 'teardown'>, options: string): SmallDisk {
  // A skipped fault test proves nothing, so it fails instead.
  if (process.getuid?.() !== 0) throw new Error('this test mounts a tmpfs and has to run as root')
  const path = mkdtempSync(join(tmpdir(), 'flatnet-disk-'))
  run('mount', ['-t', 'tmpfs', '-o', options, 'flatnet-test', path])
  t.teardown(() => {
    run('umount', ['-l', path])
    rmdirSync(path)
  })
  return { path, remount: (change) => void run('mount', ['-o', `remount,${change}`, path]) }
}
