/**
 * Whole hosts for tests: network namespaces on one switch, each with its own folders and the built executable as
 * command line and gateway.
 *
 * The test kills, restarts, cuts off and heals them. They end with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { ListedAssignment } from '../../../core/api.ts'
import { hasCode } from '../../../core/errors.ts'
import type { HostView } from '../../../gateway/api/host-view.ts'
import { type Netns, netns, run } from '../kernel/netns.ts'
import { ROOT } from '../run/executable.ts'
import { oncePerRun } from '../run/once-per-run.ts'
import { waitFor } from '../run/wait.ts'
import { keepFolder, placeFolder } from './host-folder.ts'

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

export interface TestNet {
  /** The namespace with the switch, the bridge `lan`. */
  readonly lan: Netns
  readonly hosts: readonly TestHost[]
  host(index: number): TestHost
  /** Drops every packet between the two, both ways and without a reject. Existing connections hang. */
  cut(a: number, b: number): void
  heal(a: number, b: number): void
  /** Cuts this host off from all others. */
  isolate(index: number): void
  /** Heals all cuts. */
  healAll(): void
}

export interface HostsOptions {
  /** How many more machines to put on the switch, which are in no cluster. */
  readonly spare?: number
  /** Turns on direct UDP paths, as in a fresh installation. Default false: the test is about the gateway path. */
  readonly p2p?: boolean
  /** Changes the network before the gateways start; then only links to host 1 are waited for. */
  readonly arrange?: (net: TestNet) => Promise<void>
}

const EXECUTABLE = join(ROOT, 'dist/flatnet')
/** Long enough for a start from source, which loads 400 files, on two busy cores. */
const START_MS = 30_000
const END_MS = 15_000

let nets = 0

/** The command line from source: only a plain Node accepts `--import`. */
export function fromSource(args: readonly string[], imports: readonly string[]): string[] {
  const flags = ['--disable-warning=ExperimentalWarning', ...imports.flatMap((file) => ['--import', file])]
  return [process.execPath, ...flags, join(ROOT, 'bin/flatnet.ts'), ...args]
}

function execute(argv: readonly string[], options: ExecOptions): Promise<Ran> {
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

class Host implements TestHost {
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

/** Drops what a cut pair sends, both ways, at the end that has the chain, without a reject. */
const CUT_TABLE = `table inet cut {
  set peers { type ipv4_addr; }
  chain in { type filter hook input priority -300; ip saddr @peers drop; }
  chain out { type filter hook output priority -300; ip daddr @peers drop; }
}`

/** Makes `count` hosts on one switch, from 192.0.2.1 on, without installing or starting anything. Needs root. */
export async function hosts(t: Pick<Test, 'teardown'>, count: number): Promise<TestNet> {
  if (!existsSync(EXECUTABLE)) throw new Error(`no ${EXECUTABLE}: npm run build`)
  const net = `${process.pid}-${nets++}`
  const made: Host[] = []
  // Short, since the path of a socket has a limit.
  const dir = mkdtempSync(join(tmpdir(), 'fth-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }))
  const lan = await netns(t)
  lan.exec('ip', 'link', 'add', 'lan', 'type', 'bridge')
  lan.exec('ip', 'link', 'set', 'lan', 'up')
  for (let index = 1; index <= count; index++) {
    const ns = await netns(t)
    const ip = `192.0.2.${index}`
    const port = `p${index}`
    lan.exec('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns.name)
    lan.exec('ip', 'link', 'set', port, 'master', 'lan', 'up')
    ns.exec('ip', 'link', 'set', 'lo', 'up')
    ns.exec('ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0')
    ns.exec('ip', 'link', 'set', 'eth0', 'up')
    run('ip', ['netns', 'exec', ns.name, 'nft', '-f', '-'], CUT_TABLE)
    made.push(new Host(index, ip, ns, join(dir, String(index))))
  }
  // Teardowns run in reverse order: processes end before their namespaces lose their names.
  t.teardown(() => Promise.all(made.map((h) => h.endAll())))
  const host = (index: number): Host => {
    const found = made[index - 1]
    if (found === undefined) throw new Error(`net ${net} has no host ${index}`)
    return found
  }
  const change = (verb: 'add' | 'delete', a: number, b: number): void => {
    const element = `{ ${host(b).ip} }`
    host(a).ns.exec('nft', verb, 'element', 'inet', 'cut', 'peers', element)
  }
  const cuts = new Set<string>()
  const heal = (a: number, b: number): void => {
    if (cuts.delete(`${Math.min(a, b)} ${Math.max(a, b)}`)) change('delete', Math.min(a, b), Math.max(a, b))
  }
  const cut = (a: number, b: number): void => {
    const key = `${Math.min(a, b)} ${Math.max(a, b)}`
    if (cuts.has(key)) return
    cuts.add(key)
    change('add', Math.min(a, b), Math.max(a, b))
  }
  return {
    lan,
    hosts: made,
    host,
    cut,
    heal,
    isolate(index) {
      for (const other of made) if (other.index !== index) cut(index, other.index)
    },
    healAll() {
      for (const key of [...cuts]) {
        const [a = 0, b = 0] = key.split(' ').map(Number)
        heal(a, b)
      }
    },
  }
}

/** The token that `flatnet token` prints. */
export async function tokenOf(admitting: TestHost, ...args: string[]): Promise<string> {
  const line = (await admitting.ok('token', ...args)).trim()
  const [, token] = /^flatnet join (\S+)$/.exec(line) ?? []
  if (token === undefined) throw new Error(`flatnet token printed: ${line}`)
  return token
}

/** What a test provides; the runner prints set-up times from its `comment`. */
type Setup = Pick<Test, 'teardown'> & Partial<Pick<Test, 'comment'>>

/** Runs a set-up and reports how long it took. */
async function timed<T>(t: Setup, make: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await make()
  } finally {
    t.comment?.(`setup: ${Math.round(performance.now() - began)} ms`)
  }
}

/** Runs `flatnet init` on host 1, `flatnet token` and `flatnet join` for the others in order, and links all hosts. */
async function joinByCommands(net: TestNet, count: number): Promise<void> {
  const first = net.host(1)
  await first.ok('init', '--cluster', 'testing', '--name', 'h1')
  await first.start()
  const starting: Promise<void>[] = []
  const members = net.hosts.slice(0, count)
  for (const host of members.slice(1)) {
    await host.ok('join', await tokenOf(first), '--name', `h${host.index}`)
    starting.push(host.start())
  }
  await Promise.all(starting)
  await allLinked({ hosts: members })
}

/** For the tests of joining: every host joined by the command line, as an operator would do it. */
export function joinedByCommands(t: Setup, count: number): Promise<TestNet> {
  return timed(t, async () => {
    const net = await hosts(t, count)
    await joinByCommands(net, count)
    return net
  })
}

/**
 * Makes the folders of `count` hosts that have joined, without logs and without what gateways learned. Only host 1 runs
 * meanwhile; the others get its list of members, as they would from its gateway.
 */
function preparedFolders(count: number): Promise<string> {
  return oncePerRun(`cluster-${count}-${Math.round(statSync(EXECUTABLE).mtimeMs)}`, async (folder) => {
    const teardowns: (() => unknown)[] = []
    try {
      const net = await hosts({ teardown: (fn: () => unknown) => void teardowns.push(fn) } as Setup, count)
      const first = net.host(1)
      await first.ok('init', '--cluster', 'testing', '--name', 'h1')
      await first.start()
      for (const host of net.hosts.slice(1))
        await host.ok('join', await tokenOf(first), '--name', `h${host.index}`)
      await first.stop()
      const members = join(first.dataDir, 'cluster/members.json')
      for (const host of net.hosts) {
        if (host !== first) copyFileSync(members, join(host.dataDir, 'cluster/members.json'))
        keepFolder(host.dir, join(folder, String(host.index)))
      }
    } finally {
      for (const teardown of teardowns.toReversed()) await teardown()
    }
  })
}

/** Makes hosts whose gateways run: host 1 admits, the others are members, and all links are up. */
export function joinedHosts(
  t: Setup,
  count: number,
  { spare = 0, p2p = false, arrange }: HostsOptions = {},
): Promise<TestNet> {
  return timed(t, async () => {
    const [prepared, net] = await Promise.all([preparedFolders(count), hosts(t, count + spare)])
    const members = net.hosts.slice(0, count)
    for (const host of members) {
      placeFolder(join(prepared, String(host.index)), host.dir, (conf) =>
        conf.replace(/(?<=^p2p:\n {2}enabled: )true$/m, String(p2p)),
      )
    }
    await arrange?.(net)
    await Promise.all(members.map((host) => host.start()))
    if (arrange === undefined) await allLinked({ hosts: members })
    else await linkedTo(net.host(1), count)
    return net
  })
}

/** Waits until that host has a link to each of the `count` hosts. */
const linkedTo = (host: TestHost, count: number): Promise<unknown> =>
  waitFor(`all hosts have a link to host ${host.index}`, 30_000, async () => {
    const up = await host.linksUp()
    return up.length === count - 1
  })

/** Waits until every host of the net has a control link to every other. */
export async function allLinked(net: Pick<TestNet, 'hosts'>, timeoutMs = 30_000): Promise<void> {
  await waitFor('all hosts are linked', timeoutMs, async () => {
    const up = await Promise.all(net.hosts.map((h) => h.linksUp()))
    return up.every((ids) => ids.length === net.hosts.length - 1)
  })
}
