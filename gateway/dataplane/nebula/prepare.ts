/** Makes sure that Nebula can run before it is started: its version, and what it says of its configuration. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { printable } from '../../base/printable.ts'
import { readLine } from './log-line.ts'
import type { NebulaFiles } from './overlay.ts'
import { NebulaProblem, type Ran, runProgram } from './run.ts'
import { type NebulaVersion, parseVersion, tooOld } from './version.ts'

const runNebula = (...args: readonly string[]): Promise<Ran> => runProgram('nebula', ...args)

/** @throws {NebulaProblem} */
export async function findVersion(run = runNebula): Promise<NebulaVersion> {
  const { output } = await run('-version')
  const version = parseVersion(output)
  if (version === undefined)
    throw new NebulaProblem(
      `nebula -version says "${printable(output).slice(0, 80)}"; 1.6 or later is needed`,
    )
  const problem = tooOld(version)
  if (problem !== undefined) throw new NebulaProblem(`nebula: ${problem}`)
  return version
}

/**
 * Writes the configuration and has Nebula judge it.
 * @throws {NebulaProblem} Nebula refuses it
 */
export async function prepareConfig(files: NebulaFiles, text: string, run = runNebula): Promise<void> {
  writeConfig(files, text)
  const { code, output } = await run('-test', '-config', files.config)
  if (code === 0) return
  const [last = 'it says nothing'] = output.trim().split('\n').reverse()
  throw new NebulaProblem(
    `nebula refuses its configuration: ${printable(readLine(last)?.text ?? last).slice(0, 200)}`,
  )
}

function writeConfig({ config, folder }: NebulaFiles, text: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (existsSync(config) && readFileSync(config, 'utf8') === text) return
  writeFileSync(config, text, { mode: 0o600 })
}
