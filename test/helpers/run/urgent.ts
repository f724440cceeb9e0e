/** Measures what a process does, and not how long other programs keep the processor from it. */
import { readdirSync } from 'node:fs'
import { setPriority } from 'node:os'

const FIRST = -20

/** Gives all threads of a process the processor before others. Needs root. */
export function urgent(pid: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), FIRST)
}
