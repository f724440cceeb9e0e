/** A folder that the first test file of a run makes, and that the others copy from, even if they run at once. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from './wait.ts'

/** Names the folder of the run; suites.ts makes it and removes it at the end. */
export const RUN_FOLDER = 'FLATNET_TEST_RUN_FOLDER'

/** If the folder takes longer, the file that waited makes it itself. */
const PATIENCE_MS = 90_000

/** For files that are run without suites.ts: those with the same parent, `tap`, share one; the next run removes it. */
function folderOfParent(): string {
  const folder = join(tmpdir(), `ft-run-${process.ppid}`)
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(tmpdir())) {
    const [, parent] = name.match(/^ft-run-(\d+)$/) ?? []
    if (parent === undefined || existsSync(`/proc/${parent}`)) continue
    rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
  return folder
}

/** @returns whether this process has to make it */
function claim(path: string): boolean {
  try {
    mkdirSync(`${path}.claim`)
    return true
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw err
  }
}

/**
 * The folder of this name, whole. It is never changed afterwards: copy what is needed.
 * @param name distinguishes what it holds, e.g. `cluster-3`; part of a file name
 * @param make fills an empty folder; when it fails, the next file tries again
 */
export async function oncePerRun(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const path = join(process.env[RUN_FOLDER] ?? folderOfParent(), name)
  if (existsSync(path)) return path
  if (!claim(path)) {
    const isThere = () => existsSync(path) || !existsSync(`${path}.claim`)
    await waitFor(`another test file has made ${path}`, PATIENCE_MS, isThere)
    if (existsSync(path)) return path
    return oncePerRun(name, make)
  }
  try {
    const folder = mkdtempSync(`${path}.new-`)
    await make(folder)
    renameSync(folder, path)
  } finally {
    rmSync(`${path}.claim`, { recursive: true })
  }
  return path
}
