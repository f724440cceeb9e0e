/** A process that takes a lock, prints that it did, and holds it until its end: `node lock-holder.ts <path>`. */
import { writeSync } from 'node:fs'
import { withFlock } from '../../../kernel/flock.ts'

withFlock(process.argv[2] ?? '', {}, () => {
  writeSync(1, 'held\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  return undefined
})
