/** How busy the processors are, by the kernel's counters in /proc. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'

/** The unit of these counters for programs, on every Linux. proc(5) */
const TICKS_PER_S = 100

/**
 * CPU seconds of a process and of all that it has started and waited for.
 * @param stat its `/proc/<pid>/stat`; the name in parentheses may hold anything
 */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // utime, stime, cutime, cstime
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_S
}

export const cpuSeconds = (): number => cpuSecondsOf(readFileSync('/proc/self/stat', 'utf8'))

/** How many processors worked between two looks at `/proc/stat`. What a hypervisor took away counts as work. */
export function busyProcessors(before: string, after: string, processors: number): number {
  const [a, b] = [before, after].map((text) =>
    (text.split('\n', 1)[0] ?? '').split(/ +/).slice(1, 9).map(Number),
  )
  const grown = (b ?? []).map((ticks, i) => ticks - (a?.[i] ?? 0))
  const all = grown.reduce((sum, ticks) => sum + ticks, 0)
  // The fourth is idle, the fifth waits for a disk.
  const idle = (grown[3] ?? 0) + (grown[4] ?? 0)
  return all === 0 ? 0 : ((all - idle) / all) * processors
}

/** Of all processors together, during one look. */
const CALM_BELOW = 0.5
const LOOK_MS = 3_000
const LOOKS = 20

/** What `calm` needs of the world. */
export interface Machine {
  readonly processors: number
  /** The text of `/proc/stat`. */
  readonly stat: () => string
  readonly pause: (ms: number) => Promise<unknown>
}

const THIS_MACHINE: Machine = {
  processors: availableParallelism(),
  stat: () => readFileSync('/proc/stat', 'utf8'),
  pause,
}

/**
 * Waits until the machine has been calm for three seconds, a minute at most: what others run on it may never end.
 * @returns how busy it was in the last look, as a person reads it
 */
export async function calm({ processors, stat, pause }: Machine = THIS_MACHINE): Promise<string> {
  let busy = processors
  for (let look = 0; look < LOOKS && busy >= CALM_BELOW; look++) {
    const before = stat()
    await pause(LOOK_MS)
    busy = busyProcessors(before, stat(), processors)
  }
  return `others used ${busy.toFixed(1)} of ${processors} processors`
}
