/** The result of one examination of the machine, as `flatnet doctor` prints it. */

type CheckState = 'ok' | 'warn' | 'fail'

export interface Check {
  /** Stable, for scripts; e.g. `podman-backend`. */
  readonly id: string
  readonly state: CheckState
  /** What was found. */
  readonly what: string
  /** What goes wrong because of it; absent when all is well. */
  readonly why?: string
  /** What to do, a command where there is one; absent when all is well. */
  readonly fix?: string
}

export const ok = (id: string, what: string): Check => ({ id, state: 'ok', what })
export const warn = (id: string, what: string, why: string, fix: string): Check => ({
  id,
  state: 'warn',
  what,
  why,
  fix,
})
export const fail = (id: string, what: string, why: string, fix: string): Check => ({
  id,
  state: 'fail',
  what,
  why,
  fix,
})
