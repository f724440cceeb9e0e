/** Runs a command of a test to its end, within a bound. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from '../run/executable.ts'

export interface Ran {
  readonly rc: number
  readonly stdout: string
  readonly stderr: string
}

export interface ExecOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  /**
   * Modules for `node --import`, e.g. one that sets the clock wrong. Runs from source: the executable has no imports.
   */
  readonly imports?: readonly string[]
  /** Replaces the built executable: an upgrade puts another file under its name. */
  readonly executable?: string
  readonly timeoutMs?: number
}

/** The command line from source: only a plain Node accepts `--import`. */
export function fromSource(args: readonly string[], imports: readonly string[]): string[] {
  const flags = ['--disable-warning=ExperimentalWarning', ...imports.flatMap((file) => ['--import', file])]
  return [process.execPath, ...flags, join(ROOT, 'bin/flatnet.ts'), ...args]
}

export function execute(argv: readonly string[], options: ExecOptions): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>()
  const [command = '', ...args] = argv
  const env = { ...process.env, ...options.env }
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env, cwd: ROOT })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const limit = options.timeoutMs ?? 60_000
  const timer = setTimeout(() => {
    child.kill('SIGKILL')
    reject(new Error(`${argv.join(' ')}: no end after ${limit} ms: ${stdout}${stderr}`))
  }, limit)
  child.on('error', reject)
  child.on('close', (code, signal) => {
    clearTimeout(timer)
    resolve({ rc: code ?? 128, stdout, stderr: signal === null ? stderr : `${signal} ${stderr}` })
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  return promise
}
