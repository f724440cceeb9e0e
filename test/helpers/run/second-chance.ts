/** Gives a test file that failed beside others one more chance with nothing beside it. */
import type { FileEnded, Tally } from './tap-reader.ts'

/** More failed files of a suite than this are a fault of the product, so they get no second chance. */
const SECOND_CHANCES = 5

export type RunFiles = (files: readonly string[], fileEnded: FileEnded) => Promise<Tally>

/** What a suite has come to, before second chances. */
export interface First {
  readonly tally: Tally
  /** The files to run again; empty when all passed, or when no second chance is due. */
  readonly again: readonly string[]
}

/** Runs the files of a suite beside each other. */
export async function firstRun(
  files: readonly string[],
  run: RunFiles,
  fileEnded: FileEnded,
): Promise<First> {
  const failed: string[] = []
  const tally = await run(files, (file, ok, took) => {
    if (!ok) failed.push(file)
    fileEnded(file, ok, took)
  })
  // What a file left open is reported under another name than the file's.
  const isDue = failed.length <= SECOND_CHANCES && failed.every((file) => files.includes(file))
  return { tally, again: isDue ? failed : [] }
}

/**
 * A bound in milliseconds holds for a machine without other work, and files that run at the same time are that other
 * work. When all that failed pass alone, that counts, and what failed at first becomes a note of the run; else the
 * first verdict stands. Call it when nothing else of the run is left.
 * @param calm waits until the machine has little else to do, and says what it found
 */
export async function secondChance(
  { tally, again }: First,
  run: RunFiles,
  fileEnded: FileEnded,
  calm: () => Promise<string>,
): Promise<Tally> {
  if (again.length === 0) return tally
  const found = new Set<string>()
  for (const file of again) {
    found.add(await calm())
    if ((await run([file], fileEnded)).failed > 0) return tally
  }
  const names = tally.failures.map((failure) => failure.split('\n', 1)[0])
  const note = `failed beside other files and passed alone (${[...found].join(', ')}): ${names.join('; ')}`
  return { ...tally, failed: 0, failures: [], notes: [...tally.notes, note] }
}
