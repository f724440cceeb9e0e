/** Kills a verb at each of its steps, and asserts what must hold afterwards. */
import type { Test } from 'tap'
import type { Call, CniHost, Verb } from './cni.ts'
import { killAt, litter, record, type Standing, type Step, standing, stepsOfKind } from './fault.ts'

/** Two protocols, so that maps, conntrack and undo all have something to do. */
const PORTS = {
  runtimeConfig: {
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
      { hostPort: 5353, containerPort: 53, protocol: 'udp' },
    ],
  },
}
export const VICTIM: Call = { containerId: 'victim', conf: PORTS }
const WITNESS: Call = {
  containerId: 'witness',
  conf: { runtimeConfig: { portMappings: [{ hostPort: 9090, containerPort: 90, protocol: 'tcp' }] } },
}

export const ALONE: Standing = { leases: ['witness'], links: ['witness'], publishers: ['witness'] }
export const BOTH: Standing = {
  leases: ['victim', 'witness'],
  links: ['victim', 'witness'],
  publishers: ['victim', 'witness'],
}
export const NOBODY: Standing = { leases: [], links: [], publishers: [] }

/** Two containers; the witness is attached and must never notice anything. */
export async function withWitness(host: CniHost): Promise<void> {
  await host.container('victim')
  await host.container('witness')
  await host.ok('ADD', WITNESS)
}

/**
 * A run may take another turn (a wake-up more, a wait for the port): then the kill hits another step, and is repeated.
 */
const ATTEMPTS = 5

export interface Round {
  readonly host: CniHost
  readonly verb: Verb
  /** Prepares the host for `verb`. */
  before(): Promise<void>
  /** Asserts after the kill. */
  after(t: Test, step: Step): Promise<void>
}

/** Kills at every step and asserts after each. @returns the steps */
export async function killEverywhere(t: Test, round: Round): Promise<readonly Step[]> {
  const { host, verb } = round
  await round.before()
  const steps = await record(host, verb, VICTIM)
  for (const step of steps) {
    let hit = false
    for (let i = 0; i < ATTEMPTS && !hit; i++) {
      await round.before()
      const ran = await killAt(host, verb, VICTIM, step)
      hit = ran.wasKilled && ran.at === step.what
    }
    if (!hit) t.comment(`another step was hit instead of ${step.what}`)
    await round.after(t, step)
  }
  return steps
}

/** Fails when the recording has no step of a kind: then the loop above proved less than it claims. */
export function sawAll(t: Test, steps: readonly Step[], kinds: readonly RegExp[]): void {
  for (const kind of kinds) t.ok(stepsOfKind(steps, kind).length > 0, `killed at ${kind}`)
}

/** Asserts that only the witness is left on disk and in the kernel. */
export async function nothingLeft(t: Test, host: CniHost, when: string): Promise<void> {
  t.same(await standing(host), ALONE, when)
  t.same(litter(host), [], `${when}: no litter`)
}
