/** Runs the cases of this folder on one Podman, with each executable: one description for both dialects. */
import t, { type Test } from 'tap'
import { type Executable, executables } from '../run/executable.ts'
import type { PodmanRuntime } from './runtime.ts'

export interface Target {
  readonly runtime: PodmanRuntime
  readonly executable: Executable
}

export type PodmanCase = (t: Test, target: Target) => Promise<void>

/** @param cases by the name of the test */
export function onPodman(
  runtime: PodmanRuntime,
  cases: Readonly<Record<string, PodmanCase>>,
  chosen: readonly Executable[] = executables(),
): void {
  for (const executable of chosen)
    for (const [name, body] of Object.entries(cases))
      t.test(
        `${runtime.name}, ${executable.name}: ${name}`,
        { skip: runtime.missing(), timeout: 300_000 },
        (t) => body(t, { runtime, executable }),
      )
}

/** The plugin alone, as install links it: one run of a case, where two would only cost time. */
export const plugin = (): readonly Executable[] => {
  const built = executables()
  const alone = built.filter(({ hasCli }) => !hasCli)
  return alone.length > 0 ? alone : built
}
