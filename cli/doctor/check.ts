/** The shape of every check of `flatnet doctor`: facts are gathered, then judged into findings. */

import { hasCode } from '../../core/errors.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import type { Dialect } from '../host/podman-dialect.ts'

type FindingState = 'ok' | 'warn' | 'fail'

/** One line of the report. */
export interface Finding {
  /** Stable, for scripts; e.g. `podman-backend`. */
  readonly id: string
  readonly state: FindingState
  /** What was found. */
  readonly what: string
  /** What goes wrong because of it; absent when all is well. */
  readonly why?: string
  /** What to do, a command where there is one; absent when all is well. */
  readonly fix?: string
}

export const ok = (id: string, what: string): Finding => ({ id, state: 'ok', what })
export const warn = (id: string, what: string, why: string, fix: string): Finding => ({
  id,
  state: 'warn',
  what,
  why,
  fix,
})
export const fail = (id: string, what: string, why: string, fix: string): Finding => ({
  id,
  state: 'fail',
  what,
  why,
  fix,
})

/** The machine under examination. */
export interface Subject {
  readonly host: Host
  readonly places: Places
  /** Bridges and supernets of the networks, without repetition. */
  readonly bridges: readonly string[]
  readonly supernets: readonly string[]
  /** Where Podman looks for plugins. */
  readonly pluginDirs: Readonly<Record<Dialect, readonly string[]>>
  /** Networks' files that `flatnet install` wrote and that are gone. */
  readonly removedNetworks: readonly string[]
  /** The ruleset and the version of the executable that examines. */
  readonly nftTemplate: string
  readonly version: string
}

interface Definition<Facts> {
  /** As its file or folder is called. */
  readonly name: string
  /** The findings where only root may look: `gather` was refused with EACCES. */
  readonly needsRoot?: readonly Finding[]
  /** Reads the machine and changes nothing. */
  gather(subject: Subject): Facts | Promise<Facts>
  /** Pure. */
  judge(facts: Facts): readonly Finding[]
}

/** One file or folder of this directory; checks.ts lists them in order. */
export interface HostCheck {
  readonly name: string
  run(subject: Subject): Promise<readonly Finding[]>
}

export function hostCheck<Facts>({ name, needsRoot, gather, judge }: Definition<Facts>): HostCheck {
  return {
    name,
    async run(subject) {
      try {
        return judge(await gather(subject))
      } catch (err) {
        if (needsRoot === undefined || !hasCode(err, 'EACCES')) throw err
        return needsRoot
      }
    },
  }
}
