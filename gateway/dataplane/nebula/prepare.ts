/** Makes sure that Nebula can run before it is started: its version, its files, and what it says of its configuration. */

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Millis } from '../../../core/clock.ts'
import { hasCode } from '../../../core/errors.ts'
import { printable } from '../../base/printable.ts'
import type { NebulaFiles } from './overlay.ts'
import { INSTALL_NEBULA, type NebulaVersion, parseVersion, tooOld } from './version.ts'

/** Why Nebula is not started, in words, with what to do. */
class NebulaProblem extends Error {
  override readonly name = 'NebulaProblem'
}

interface Ran {
  readonly code: number
  readonly output: string
}

/** Both take 20 ms; a program that hangs must not keep the gateway from trying again. */
const RUN_MS: Millis = 10_000
const MAX_OUTPUT = 1 << 20

/** @throws {NebulaProblem} there is no such program */
function runNebula(...args: string[]): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>()
  execFile('nebula', args, { timeout: RUN_MS, maxBuffer: MAX_OUTPUT, cwd: '/' }, (err, stdout, stderr) => {
    if (hasCode(err, 'ENOENT'))
      reject(new NebulaProblem(`nebula is not installed; on Debian: ${INSTALL_NEBULA}`))
    else resolve({ code: err === null ? 0 : Number(err.code ?? -1), output: stdout + stderr })
  })
  return promise
}

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
 * @throws {NebulaProblem} a file is missing, or Nebula refuses
 */
export async function prepareConfig(files: NebulaFiles, text: string, run = runNebula): Promise<void> {
  for (const file of [files.caCrt, files.hostCrt, files.hostKey])
    if (!existsSync(file))
      throw new NebulaProblem(`there is no ${file}: flatnet nebula host makes it on the host with the CA`)
  writeConfig(files, text)
  const { code, output } = await run('-test', '-config', files.config)
  if (code === 0) return
  const [last = 'it says nothing'] = output.trim().split('\n').reverse()
  throw new NebulaProblem(`nebula refuses its configuration: ${printable(last).slice(0, 200)}`)
}

function writeConfig({ config, folder }: NebulaFiles, text: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (existsSync(config) && readFileSync(config, 'utf8') === text) return
  writeFileSync(config, text, { mode: 0o600 })
}
