/** The id of this boot: what was written under another describes processes that no longer exist. */

import { readFileSync } from 'node:fs'

const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id'

let known: string | undefined

/** A UUID, random per boot of the kernel; containers share it with their host. Read once per process. */
export function bootId(): string {
  known ??= readFileSync(BOOT_ID_PATH, 'latin1').trim()
  return known
}
