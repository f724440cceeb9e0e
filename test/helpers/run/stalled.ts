/** For how long the machine has kept what could run from running, by the kernel's counters. */
import { readFileSync } from 'node:fs'

/** Of the counters in /proc/stat: a hundredth of a second, on every Linux. proc(5) */
const TICK_MS = 10

/**
 * @param stat the text of `/proc/stat`.
 * @returns ms that a hypervisor has given to others, the mean of all processors
 */
export function stolenMs(stat: string): number {
  const ticks = Number(/^cpu +(?:\d+ +){7}(\d+)/.exec(stat)?.[1] ?? 0)
  return (ticks * TICK_MS) / Math.max(1, stat.match(/^cpu\d/gm)?.length ?? 0)
}

/**
 * For how long so far, in ms, anything that could run has waited for a processor: for other programs, and while a
 * hypervisor ran other machines, which the first count leaves out. Where the kernel does not count them, always 0.
 * Documentation/accounting/psi.rst, proc(5)
 */
export function stalledMs(): number {
  try {
    const [, us = '0'] = /^some .*total=(\d+)$/m.exec(readFileSync('/proc/pressure/cpu', 'utf8')) ?? []
    return Number(us) / 1_000 + stolenMs(readFileSync('/proc/stat', 'utf8'))
  } catch {
    return 0
  }
}
