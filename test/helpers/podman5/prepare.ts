/**
 * Makes the Debian 13 of system.ts by debootstrap, where it is missing or its recipe has changed: about 70 s.
 *
 * bin/test runs it. It ends with 0 only when the folder is there; the reason it could not be made is kept for the
 * tests.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { FOLDER, PROBLEM, RECIPE, SYSTEM } from './system.ts'

/** 230 MB stay; packages and what they unpack are there together for a moment. */
const NEEDED_BYTES = 1_000_000_000
const SCRIPTS = '/usr/share/debootstrap/scripts'
/** A mirror may be busy for a moment. */
const TRIES = 2
const PAUSE_MS = 3_000
/** When it is killed, its processes end and its mounts go: what removes the folder must not enter them. */
const ALONE = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
/** A download that hangs must not hold the whole run. */
const LIMIT_MS = 300_000

function output(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8' })
  return done.status === 0 ? done.stdout : ''
}

/** Where this machine's own packages come from: a Debian mirror has all releases. */
function mirror(): string | undefined {
  const lines = output(
    'apt-get',
    'indextargets',
    '--format',
    '$(ORIGIN) $(LABEL) $(COMPONENT) $(CODENAME) $(REPO_URI)',
    'Created-By: Packages',
  )
  const found = /^Debian Debian main [a-z]+ (\S+)$/m.exec(lines)
  return found?.[1]
}

/** debootstrap of Debian 12 may not know the name of 13 yet; since then nothing about it has changed. */
function script(): string {
  const own = join(SCRIPTS, RECIPE.suite)
  return existsSync(own) ? own : join(SCRIPTS, 'sid')
}

function debootstrap(target: string, from: string): string | undefined {
  const args = ['--variant=minbase', `--include=${RECIPE.packages.join(',')}`, RECIPE.suite, target, from]
  const options = { encoding: 'utf8', timeout: LIMIT_MS, killSignal: 'SIGKILL' } as const
  const done = spawnSync('unshare', [...ALONE, 'debootstrap', ...args, script()], options)
  process.stdout.write(done.stdout ?? '')
  if (done.status === 0) return undefined
  const said = `${done.stdout ?? ''}${done.stderr ?? ''}`.trim().split('\n').slice(-3).join(' | ')
  return `debootstrap ended with ${done.status ?? done.signal}: ${said}`
}

/** @returns why it could not be made */
async function make(): Promise<string | undefined> {
  const free = statfsSync(FOLDER)
  if (free.bavail * free.bsize < NEEDED_BYTES) return `less than 1 GB is free for ${FOLDER}`
  if (output('debootstrap', '--version') === '') return 'debootstrap is not installed'
  const from = mirror()
  if (from === undefined) return "no Debian mirror in this machine's apt sources"
  const target = `${SYSTEM}.new`
  let problem: string | undefined
  for (let tries = 0; tries < TRIES; tries++) {
    rmSync(target, { recursive: true, force: true })
    problem = debootstrap(target, from)
    if (problem === undefined) break
    await pause(PAUSE_MS)
  }
  if (problem !== undefined) return problem
  for (const path of RECIPE.removed) rmSync(join(target, path), { recursive: true, force: true })
  renameSync(target, SYSTEM)
  return undefined
}

mkdirSync(FOLDER, { recursive: true })
rmSync(PROBLEM, { force: true })
if (!existsSync(SYSTEM)) {
  const problem = await make()
  if (problem !== undefined) {
    writeFileSync(PROBLEM, `${problem}\n`)
    process.stderr.write(`${problem}\n`)
    process.exitCode = 1
  }
}
// Older recipes, and what a killed run has left.
for (const name of readdirSync(FOLDER).map((entry) => join(FOLDER, entry)))
  if (name !== SYSTEM && name !== PROBLEM) rmSync(name, { recursive: true, force: true })
