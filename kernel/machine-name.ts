/** The name of this machine, as hostname(1) says it. */

import { readFileSync } from 'node:fs'

const PATH = '/proc/sys/kernel/hostname'

/** Empty where /proc does not say. Not by node:os, which the verbs would load for it alone. */
export function machineName(): string {
  try {
    return readFileSync(PATH, 'utf8').trim()
  } catch {
    return ''
  }
}
