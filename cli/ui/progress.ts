/** Says what a command waits for, so that no command is silent for long. */

import type { Io } from './output.ts'

/** Shorter waits need no word. */
const DELAYS = { firstMs: 2_000, againMs: 10_000 }

/** Says on stderr what the command waits for, after two seconds and every ten from then on. */
export async function withProgress<T>(
  io: Io,
  what: string,
  work: Promise<T>,
  { firstMs, againMs } = DELAYS,
): Promise<T> {
  const began = performance.now()
  let timer: NodeJS.Timeout
  const tell = (): void => {
    io.stderr.write(`flatnet: ${what}, for ${Math.round((performance.now() - began) / 1000)} s\n`)
    timer = setTimeout(tell, againMs)
  }
  timer = setTimeout(tell, firstMs)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}
