/** One host of a test: a network namespace with its own folders, commands in it, and a gateway that tests kill and restart. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { ListedAssignment } from '../../../core/api.ts'
import { hasCode } from '../../../core/errors.ts'
import type { HostView } from '../../../gateway/api/host-view.ts'
import { type Netns, run } from '../kernel/netns.ts'
import { ROOT } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'
import { type ExecOptions, execute, fromSource, type Ran } from './execute.ts'

export interface TestHost {
  /** 1, 2, 3 … in the order of making; also its hostId if hosts join in that order. */
  readonly index: number
  /** On the switch, e.g. `192.0.2.1`. */
  readonly ip: string
  readonly ns: Netns
  /** Holds `flatnet.yaml`, `data/`, `cni/` (conflists), `gateway.sock`, `gateway.log`. */
  readonly dir: string
  readonly dataDir: string
  readonly socket: string
  /** Runs a command in the host's namespace. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<Ran>
  /** Starts a command in the host's namespace, which ends with the host. stdin and stdout are pipes. */
  spawn(...argv: string[]): ChildProcess
  /** Runs `flatnet <args>` with the host's own paths. */
  flatnet(...args: string[]): Promise<Ran>
  flatnetWith(options: ExecOptions, ...args: string[]): Promise<Ran>
  /** Runs `flatnet <args>` and returns its stdout; throws unless it exits with 0. */
  ok(...args: string[]): Promise<string>
  /** All that the gateway has logged in all its runs. */
  log(): string
  /** Parsed log lines with this message. */
  // biome-ignore lint/suspicious/noExplicitAny: log lines are judged by the test
  logged(msg: string): any[]
  /** Starts the gateway and waits until its API answers. */
  start(options?: Pick<ExecOptions, 'imports' | 'env' | 'executable'>): Promise<void>
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<void>
  kill(): Promise<void>
  restart(): Promise<void>
  signal(name: NodeJS.Signals): void
  readonly pid: number | undefined
  /** JSON of the gateway's API. */
  // biome-ignore lint/suspicious/noExplicitAny: judged by the test
  api<T = any>(path: string, body?: unknown, method?: string): Promise<T>
  hosts(): Promise<HostView[]>
  /** The host's table of all containers. */
  assignments(): Promise<ListedAssignment[]>
  /** The text of `GET /metrics`. */
  metrics(): Promise<string>
  /** hostIds whose control link is up. */
  linksUp(): Promise<number[]>
}

export const EXECUTABLE = join(ROOT, 'dist/flatnet')
/** Long enough for a start from source, which loads 400 files, on two busy cores. */
const START_MS = 30_000
const END_MS = 15_000

export class NetnsHost implements TestHost {
  readonly index: number
  readonly ip: string
  readonly ns: Netns
  readonly dir: string
  readonly dataDir: string
  readonly socket: string
  #gateway: ChildProcess | undefined
  readonly #commands: ChildProcess[] = []

  constructor(index: number, ip: string, ns: Netns, dir: string) {
    this.index = index
    this.ip = ip
    this.ns = ns
    this.dir = dir
    this.dataDir = join(dir, 'data')
    this.socket = join(dir, 'gateway.sock')
    mkdirSync(join(dir, 'cni'), { recursive: true })
  }

  get #log(): string {
    return join(this.dir, 'gateway.log')
  }

  #enter(argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.ns.name, ...argv]
  }

  #program(args: readonly string[], imports: readonly string[] = [], executable = EXECUTABLE): string[] {
    return imports.length === 0 ? [executable, ...args] : fromSource(args, imports)
  }

  exec(argv: readonly string[], options: ExecOptions = {}): Promise<Ran> {
    return execute(this.#enter(argv), options)
  }

  spawn(...argv: string[]): ChildProcess {
    const [command = '', ...args] = this.#enter(argv)
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: ROOT })
    this.#commands.push(child)
    return child
  }

  /** Ends all that still runs in the namespace, since the P2P process outlives its gateway on purpose. */
  async endAll(): Promise<void> {
    await this.kill()
    for (const child of this.#commands) child.kill('SIGKILL')
    for (const pid of run('ip', ['netns', 'pids', this.ns.name]).split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch (err) {
        // ESRCH: the process ended between the list and the signal.
        if (!hasCode(err, 'ESRCH')) throw err
      }
    }
  }

  /** Commands that write files get every path, so that they change nothing outside the host's folder. */
  #paths(command: string): string[] {
    const config = ['--config', join(this.dir, 'flatnet.yaml')]
    if (command === 'gateway') return config
    const places = [...config, '--cni-conf-dir', join(this.dir, 'cni')]
    if (!['install', 'init', 'join'].includes(command)) return places
    return [
      ...places,
      ...['--cni-bin-dir', join(this.dir, 'cni-bin'), '--bin-dir', join(this.dir, 'bin')],
      ...['--systemd-dir', join(this.dir, 'systemd'), '--containers-dir', join(this.dir, 'containers')],
      ...['--data-dir', this.dataDir, '--socket', this.socket, '--no-executables', '--no-service'],
    ]
  }

  flatnetWith(options: ExecOptions, ...args: string[]): Promise<Ran> {
    const [command = '', ...rest] = args
    const argv = this.#program([command, ...rest, ...this.#paths(command)], options.imports)
    return execute(this.#enter(argv), options)
  }

  flatnet(...args: string[]): Promise<Ran> {
    return this.flatnetWith({}, ...args)
  }

  async ok(...args: string[]): Promise<string> {
    const ran = await this.flatnet(...args)
    if (ran.rc === 0) return ran.stdout
    throw new Error(`host ${this.index}: flatnet ${args[0]}: exit ${ran.rc}: ${ran.stdout}${ran.stderr}`)
  }

  log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : ''
  }

  // biome-ignore lint/suspicious/noExplicitAny: log lines are judged by the test
  logged(msg: string): any[] {
    return this.log()
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
      .filter((line) => line.msg === msg)
  }

  get pid(): number | undefined {
    return this.#gateway?.pid
  }

  async start({
    imports,
    env,
    executable,
  }: Pick<ExecOptions, 'imports' | 'env' | 'executable'> = {}): Promise<void> {
    if (this.#gateway !== undefined) return
    const [command = '', ...args] = this.#enter(
      this.#program(['gateway', ...this.#paths('gateway')], imports, executable),
    )
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      cwd: ROOT,
    })
    this.#gateway = child
    // Not the file's descriptor: the next run would tear lines of a killed one.
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        if (existsSync(this.dir)) appendFileSync(this.#log, chunk)
      })
    let ended = ''
    child.once('exit', (code, signal) => {
      ended = `exit ${code ?? signal}`
    })
    await waitFor(`the gateway of host ${this.index} answers`, START_MS, async () => {
      if (ended !== '') throw new Error(`${ended}: ${this.log()}`)
      return (await this.api('/v1/status')).pid === child.pid
    })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#gateway
    this.#gateway = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
    })
    child.kill(signal)
    const hard = setTimeout(() => child.kill('SIGKILL'), END_MS)
    await gone
    clearTimeout(hard)
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  signal(name: NodeJS.Signals): void {
    this.#gateway?.kill(name)
  }

  // biome-ignore lint/suspicious/noExplicitAny: judged by the test
  api<T = any>(path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST'): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const headers = text !== undefined && {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      }
      const req = request({ socketPath: this.socket, path, method, timeout: 5_000, headers: headers || {} })
      req.on('timeout', () => req.destroy(new Error(`${path}: no answer within 5 s`)))
      req.on('error', reject)
      req.on('response', (res) => {
        let answer = ''
        res.setEncoding('utf8').on('data', (chunk: string) => {
          answer += chunk
        })
        res.on('end', () => {
          if ((res.statusCode ?? 500) >= 400)
            reject(new Error(`${method} ${path}: ${res.statusCode} ${answer}`))
          else resolve(answer === '' ? undefined : JSON.parse(answer))
        })
      })
      req.end(text)
    })
  }

  hosts(): Promise<HostView[]> {
    return this.api('/v1/hosts')
  }

  assignments(): Promise<ListedAssignment[]> {
    return this.api('/v1/assignments')
  }

  async metrics(): Promise<string> {
    const { stdout } = await this.exec(['curl', '-s', '--unix-socket', this.socket, 'http://flatnet/metrics'])
    return stdout
  }

  async linksUp(): Promise<number[]> {
    return (await this.hosts()).filter((h) => h.link?.state === 'up').map((h) => h.hostId)
  }
}
