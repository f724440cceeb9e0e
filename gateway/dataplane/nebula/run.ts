/** Runs nebula and nebula-cert for an answer, and says in words why one cannot be run. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Millis } from '../../../core/clock.ts'
import { hasCode } from '../../../core/errors.ts'
import { INSTALL_NEBULA } from './version.ts'

/** Why Nebula is not started, in words, with what to do. */
export class NebulaProblem extends Error {
  override readonly name = 'NebulaProblem'
}

/** There is no such program in PATH. */
export class NebulaMissing extends NebulaProblem {}

export interface Ran {
  readonly code: number
  readonly output: string
}

type Program = 'nebula' | 'nebula-cert'

/** Both take 20 ms; a program that hangs must not keep the gateway from trying again. */
const RUN_MS: Millis = 10_000
const MAX_OUTPUT = 1 << 20

/** @throws {NebulaProblem} the program is missing, may not be executed, or hangs */
export function runProgram(program: Program, ...args: readonly string[]): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>()
  const options = { timeout: RUN_MS, maxBuffer: MAX_OUTPUT, cwd: '/' }
  execFile(program, args, options, (err, stdout, stderr) => {
    const problem = err === null ? undefined : problemOf(program, args, err)
    if (problem === undefined)
      resolve({ code: typeof err?.code === 'number' ? err.code : 0, output: stdout + stderr })
    else reject(problem)
  })
  return promise
}

/** @returns undefined: it ran, and ended with a code */
function problemOf(
  program: Program,
  args: readonly string[],
  err: Error & { readonly code?: unknown; readonly killed?: boolean; readonly signal?: unknown },
): NebulaProblem | undefined {
  if (hasCode(err, 'ENOENT'))
    return new NebulaMissing(`${program} is not installed; on Debian: ${INSTALL_NEBULA}`)
  if (hasCode(err, 'EACCES')) {
    const file = pathOf(program)
    return new NebulaProblem(`${file} may not be executed: chmod 755 ${file}`)
  }
  const command = [program, ...args].join(' ')
  if (err.killed === true) return new NebulaProblem(`${command} gave no answer within ${RUN_MS / 1_000} s`)
  if (typeof err.code === 'number') return undefined
  return new NebulaProblem(`${command} cannot be run: ${String(err.code ?? err.signal ?? err.message)}`)
}

/** The first file of this name that PATH leads to, whether it may be executed or not. */
const pathOf = (program: Program): string =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => existsSync(file)) ?? program
