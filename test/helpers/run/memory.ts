/** A place in memory for what tests write where only the order of writes matters: there fsync is only a call. */
import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY = '/dev/shm'
/** Enough for all that the files of a suite write at a time; 64 MB, as Docker gives, is not. */
const MIN_BYTES = 2 * 2 ** 30

/** Tests start programs that they have copied there. */
const canExecute = (path: string): boolean =>
  !readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === path && line.split(' ')[3]?.split(',').includes('noexec'))

/**
 * The folder for temporary files, in memory where the machine has room. On a disk that others use too,
 * test/fault/store-model.test.ts took 129 s instead of 18. A `Machine` cannot have its folder there: it has a /dev of
 * its own.
 */
export function memoryFolder(): string {
  if (!existsSync(MEMORY)) return tmpdir()
  const { bavail, bsize } = statfsSync(MEMORY)
  return bavail * bsize >= MIN_BYTES && canExecute(MEMORY) ? MEMORY : tmpdir()
}
