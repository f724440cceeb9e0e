/** Gives a test file that failed beside others one more chance with nothing beside it. */
import type { FileEnded, Tally } from './tap-reader.ts'

/** More failed files than this are a fault of the product, so the run ends without second chances. */
const SECOND_CHANCES = 3

export type RunFiles = (files: readonly string[], fileEnded: FileEnded) => Promise<Tally>

/**
 * A bound in milliseconds holds for a machine without other work, and files that run at the same time are that other
 * work. When all that failed pass alone, that counts, and what failed at first becomes a note of the run; else the
 * first verdict stands.
 */
export async function withSecondChance(
  files: readonly string[],
  run: RunFiles,
  fileEnded: FileEnded,
): Promise<Tally> {
  const failed: string[] = []
  const first = await run(files, (file, ok, took) => {
    if (!ok) failed.push(file)
    fileEnded(file, ok, took)
  })
  // What a file left open is reported under another name than the file's.
  const isByFiles = failed.length > 0 && failed.every((file) => files.includes(file))
  if (!isByFiles || failed.length > SECOND_CHANCES) return first
  for (const file of failed) if ((await run([file], fileEnded)).failed > 0) return first
  const names = first.failures.map((failure) => failure.split('\n', 1)[0])
  const note = `failed beside other files and passed alone: ${names.join('; ')}`
  return { ...first, failed: 0, failures: [], notes: [...first.notes, note] }
}
