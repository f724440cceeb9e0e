/**
 * A private machine for tests: own network, mounts, processes, /run, /etc and /var/lib; it can lose power and boot
 * again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ROOT } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'
import { INIT, SYSTEM_INIT } from './machine-init.ts'

export interface Ran {
  readonly rc: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  /** Overrides variables of the machine's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** After this the command ends with an error. Default 60 s. */
  readonly timeoutMs?: number
}

/** A process started in the background of a machine. */
export interface Background {
  /** Inside the machine's process namespace. */
  readonly pid: number
  readonly logFile: string
  log(): string
  alive(): Promise<boolean>
  /** Sends the signal; SIGKILL and SIGTERM wait (10 s) until the process is gone. */
  kill(signal?: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGHUP'): Promise<void>
}

/** A host at the other end of a cable: a network namespace, joined to the machine by a veth pair. */
export interface Neighbour {
  readonly name: string
  /** Address of the machine as the neighbour sees it. */
  readonly machineIp: string
  readonly ip: string
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>
}

export interface Machine {
  /**
   * Outlives `crash`; holds the overlays of /etc, /var/lib, /opt, /usr/local and /usr/lib/cni, and whatever a test puts
   * there.
   */
  readonly dir: string
  readonly env: Record<string, string>
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>
  /** Runs a command and returns its stdout; throws with stderr unless it exits with 0. */
  exec(...argv: string[]): Promise<string>
  /** `exec` for tools that print JSON; no output is `[]`, since `ip -j` prints none for empty lists. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
  json<T = any>(...argv: string[]): Promise<T>
  /** Runs a script with `sh -ec`. */
  sh(script: string): Promise<string>
  start(
    argv: readonly string[],
    options?: { name?: string; env?: Record<string, string> },
  ): Promise<Background>
  /** A path of the machine as the test's own process reaches it, since /run differs. */
  path(inside: string): string
  /** `index` n gives the network 198.51.100.(4n)/30. */
  neighbour(name?: string, index?: number): Promise<Neighbour>
  /** Power loss and boot: every process, namespace, link, nftables table and /run are gone, the disk stays. */
  reboot(): Promise<void>
  /** Ends every process of the machine and deletes its disk. */
  remove(): Promise<void>
}

/** Long enough for a slow machine that builds at the same time. */
const BOOT_MS = 15_000

interface Booted {
  readonly child: ChildProcess
  /** Process 1 of the machine, by its pid outside. */
  readonly pid: number
}

async function boot(dir: string, system?: string): Promise<Booted> {
  writeFileSync(join(dir, 'boot_id'), `${randomUUID()}\n`)
  const child = spawn(
    'unshare',
    [
      '--net',
      '--mount',
      '--pid',
      '--uts',
      '--ipc',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'bash',
      '-c',
      system === undefined ? INIT : SYSTEM_INIT,
    ],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, DISK: dir, REPOSITORY: ROOT, ...(system !== undefined && { SYSTEM: system }) },
    },
  )
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  await waitFor('the private machine boots', BOOT_MS, () => {
    if (child.exitCode !== null) throw new Error(`unshare: exit ${child.exitCode}: ${complaint.trim()}`)
    return said.includes('ready')
  })
  const pid = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim())
  return { child, pid }
}

/** Kills process 1, and with it the kernel kills every process of its namespace. */
async function halt(booted: Booted): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    if (booted.child.exitCode !== null || booted.child.signalCode !== null) resolve()
    else booted.child.once('exit', () => resolve())
  })
  try {
    process.kill(booted.pid, 'SIGKILL')
  } catch {
    // it is gone already
  }
  await gone
}

function collect(
  argv: readonly string[],
  options: RunOptions,
  env: Record<string, string | undefined>,
): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>()
  const [command = '', ...args] = argv
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...env, ...options.env } })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  const timeoutMs = options.timeoutMs ?? 60_000
  const timer = setTimeout(() => {
    child.kill('SIGKILL')
    child.stdout.destroy()
    child.stderr.destroy()
    reject(new Error(`${argv.join(' ')}: no end after ${timeoutMs} ms: ${Buffer.concat(err)}`))
  }, timeoutMs)
  child.on('error', (error) => {
    clearTimeout(timer)
    reject(error)
  })
  child.on('close', (code, signal) => {
    clearTimeout(timer)
    const stderr = Buffer.concat(err).toString()
    resolve({
      rc: code ?? 128,
      stdout: Buffer.concat(out).toString(),
      stderr: signal ? `${signal} ${stderr}` : stderr,
    })
  })
  child.stdin.on('error', () => {}) // EPIPE of a command that does not read is its own affair
  child.stdin.end(options.input ?? '')
  return promise
}

class PrivateMachine implements Machine {
  readonly dir: string
  readonly env: Record<string, string> = {}
  readonly #system: string | undefined
  #booted: Booted
  #started = 0

  constructor(dir: string, booted: Booted, system: string | undefined) {
    this.dir = dir
    this.#booted = booted
    this.#system = system
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const enter = [
      'nsenter',
      '-t',
      String(this.#booted.pid),
      '-n',
      '-m',
      '-p',
      '-u',
      '-i',
      '-r',
      '--',
      ...argv,
    ]
    return collect(enter, options, { ...process.env, ...this.env })
  }

  async exec(...argv: string[]): Promise<string> {
    const ran = await this.run(argv)
    if (ran.rc !== 0) throw new Error(`${argv.join(' ')}: exit ${ran.rc}: ${ran.stderr.trim()}`)
    return ran.stdout
  }

  // biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
  async json<T = any>(...argv: string[]): Promise<T> {
    return JSON.parse((await this.exec(...argv)).trim() || '[]')
  }

  sh(script: string): Promise<string> {
    return this.exec('sh', '-ec', script)
  }

  async start(argv: readonly string[], options: { name?: string; env?: Record<string, string> } = {}) {
    const logFile = join(this.dir, `${options.name ?? 'background'}.${this.#started++}.log`)
    const script = 'log=$1; shift; setsid "$@" >"$log" 2>&1 </dev/null & echo $!'
    const ran = await this.run(['sh', '-c', script, 'start', logFile, ...argv], {
      ...(options.env && { env: options.env }),
    })
    return this.#background(Number(ran.stdout.trim()), logFile)
  }

  #background(pid: number, logFile: string): Background {
    const alive = async () => {
      const { stdout } = await this.run(['cat', `/proc/${pid}/stat`])
      return stdout !== '' && !/\) [ZX] /.test(stdout)
    }
    return {
      pid,
      logFile,
      log: () => readFileSync(logFile, 'utf8'),
      alive,
      kill: async (signal = 'SIGTERM') => {
        await this.run(['kill', '-s', signal.slice(3), String(pid)])
        if (signal === 'SIGTERM' || signal === 'SIGKILL')
          await waitFor(`process ${pid} ends`, 10_000, async () => !(await alive()))
      },
    }
  }

  path(inside: string): string {
    return `/proc/${this.#booted.pid}/root${inside}`
  }

  async neighbour(name = 'lan', index = 0): Promise<Neighbour> {
    const machineIp = `198.51.100.${4 * index + 1}`
    const ip = `198.51.100.${4 * index + 2}`
    await this.sh(`ip netns add ${name}
      ip link add ${name}0 type veth peer name eth0 netns ${name}
      ip addr add ${machineIp}/30 dev ${name}0
      ip link set ${name}0 up
      ip -n ${name} addr add ${ip}/30 dev eth0
      ip -n ${name} link set lo up
      ip -n ${name} link set eth0 up`)
    const run = (argv: readonly string[], options?: RunOptions) =>
      this.run(['ip', 'netns', 'exec', name, ...argv], options)
    return { name, machineIp, ip, run }
  }

  async reboot(): Promise<void> {
    await halt(this.#booted)
    this.#booted = await boot(this.dir, this.#system)
  }

  async remove(): Promise<void> {
    await halt(this.#booted)
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}

/**
 * Boots a machine; the test's teardown removes it, and so does the test's death. Needs root.
 * @param system the root folder of another system; default: this machine's own
 */
export async function machine(t: Pick<Test, 'teardown'>, system?: string): Promise<Machine> {
  const dir = mkdtempSync(join(tmpdir(), 'ft-machine-'))
  mkdirSync(join(dir, 'over'))
  const made = new PrivateMachine(dir, await boot(dir, system), system)
  // It names a file of this machine, and Node warns where there is none.
  if (system !== undefined) made.env['NODE_EXTRA_CA_CERTS'] = ''
  t.teardown(() => made.remove())
  return made
}
