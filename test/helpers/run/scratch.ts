/** Folders that end with their test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Unlike `t.testdir()` below TMPDIR, which may be memory, and short enough for the path of a socket. */
export function scratchFolder(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'ft-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
