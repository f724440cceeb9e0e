/**
 * Processes of direct paths in network namespaces on one switch, each with a gateway that the test plays. Host n is
 * 10.0.0.n on the switch, owns 10.100.n.0/24 and answers at 10.100.n.1.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NODE_FLAGS } from '../../../build/node-flags.ts'
import {
  type FromProcess,
  LineSplitter,
  lineOf,
  P2P_PROTOCOL,
  parseFromProcess,
  type SessionView,
  type ToProcess,
} from '../../../gateway/dataplane/p2p/protocol.ts'
import { run } from '../kernel/netns.ts'
import { netnsProgram } from '../kernel/netns-programs.ts'
import { waitFor } from '../run/wait.ts'
import { layCables } from './cables.ts'
import type { P2pHostConf } from './p2p-host.ts'

const PROGRAM = join(import.meta.dirname, 'p2p-host.ts')
const PORT = 7443
export const ATTEMPT = '0123456789abcdef'
export const SECRET = 'ab'.repeat(64)
const FOR_EVER = 4_000_000_000_000

export interface Flow {
  readonly sent: number
  readonly answered: number
  readonly longestMs: number
}

function programLine(...args: Parameters<typeof netnsProgram>): [string, ...string[]] {
  const [command = '', ...rest] = netnsProgram(...args)
  return [command, ...rest]
}

/** `p2p`: its line of flatnet.yaml. */
type P2pStart = Omit<Partial<P2pHostConf>, 'yaml'> & { readonly p2p?: string }

export interface Heard {
  /** `performance.now()` of the test. */
  readonly at: number
  readonly message: FromProcess
}

export class P2pNetHost {
  readonly hostId: number
  readonly netns: string
  readonly heard: Heard[] = []
  readonly #folder: string
  #process: ChildProcess | undefined
  #gateway: Socket | undefined
  readonly #commands: ChildProcess[] = []
  #stderr = ''

  constructor(hostId: number, netns: string, folder: string) {
    this.hostId = hostId
    this.netns = netns
    this.#folder = folder
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  get socket(): string {
    return join(this.#folder, `${this.hostId}`, 'p2p.sock')
  }

  get stderr(): string {
    return this.#stderr
  }

  exec(command: string, ...args: string[]): string {
    return run('ip', ['netns', 'exec', this.netns, command, ...args])
  }

  /** Routes with metric 100, of any device. */
  directRoutes(): { dst: string; dev: string; prefsrc?: string }[] {
    const all = JSON.parse(this.exec('ip', '-j', 'route') || '[]')
    return all.filter((route: { metric?: number }) => route.metric === 100)
  }

  hasDevice(): boolean {
    return spawnSync('ip', ['-n', this.netns, 'link', 'show', 'dev', 'flatnet-p2p']).status === 0
  }

  spawn(command: string, ...args: string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.netns, command, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#commands.push(child)
    return child
  }

  /** Sends packets to that host's bridge address, which returns them. @returns how many came back by the end */
  async flow(
    to: P2pNetHost,
    forMs: number,
    options: { everyMs?: number; bytes?: number } = {},
  ): Promise<Flow> {
    const { everyMs = 10, bytes = 100 } = options
    const mirror = to.spawn(...programLine('udp-mirror', '9'))
    await new Promise((resolve) => mirror.stdout?.once('data', resolve))
    const address = `10.100.${to.hostId}.1`
    const child = this.spawn(...programLine('udp-flow', address, '9', `${forMs}`, `${everyMs}`, `${bytes}`))
    let stdout = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    await new Promise((resolve) => child.once('close', resolve))
    mirror.kill('SIGKILL')
    return JSON.parse(stdout)
  }

  /** Starts the process and connects to it. */
  async start({ p2p = '', ...options }: P2pStart = {}): Promise<void> {
    const socket = join(this.#folder, `${this.hostId}`, 'gateway.sock')
    const yaml = `hostId: ${this.hostId}\napi: { socket: ${socket} }\n${p2p}\n`
    const conf = JSON.stringify({ yaml, ...options } satisfies P2pHostConf)
    const node = [process.execPath, ...NODE_FLAGS, PROGRAM, conf]
    const child = spawn('ip', ['netns', 'exec', this.netns, ...node], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#process = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    await this.connect()
  }

  /** Connects as a gateway, says hello and waits for the answer. */
  async connect(): Promise<void> {
    const gateway = await waitFor(`host ${this.hostId} listens; ${this.#stderr}`, 10_000, () =>
      dial(this.socket),
    )
    const splitter = new LineSplitter()
    gateway.on('data', (chunk: Buffer) => {
      for (const line of splitter.push(chunk))
        this.heard.push({ at: performance.now(), message: parseFromProcess(line) })
    })
    gateway.on('error', () => {})
    const seen = this.heard.length
    this.#gateway = gateway
    this.order({ type: 'hello', protocol: P2P_PROTOCOL, version: 'test' })
    await this.message('hello', seen)
  }

  order(message: ToProcess): void {
    this.#gateway?.write(lineOf(message))
  }

  /** The gateway's raw connection, for messages that no gateway would send. */
  get gateway(): Socket {
    if (this.#gateway === undefined) throw new Error('not connected')
    return this.#gateway
  }

  /** Waits for the next message of a type after the first `seen` of all. */
  async message<T extends FromProcess['type']>(
    type: T,
    seen = 0,
    fits: (message: Extract<FromProcess, { type: T }>) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<{ at: number; message: Extract<FromProcess, { type: T }> }> {
    const found = () =>
      this.heard
        .slice(seen)
        .map(({ at, message }) => ({ at, message: message as Extract<FromProcess, { type: T }> }))
        .find(({ message }) => message.type === type && fits(message))
    try {
      return await waitFor(`host ${this.hostId} says ${type}`, timeoutMs, found)
    } catch (cause) {
      throw new Error(`host ${this.hostId}: no ${type}; stderr: ${this.#stderr.trim()}`, { cause })
    }
  }

  /** The newest view of the session with that host. */
  view(hostId: number): SessionView | undefined {
    for (const { message } of this.heard.toReversed()) {
      if (message.type === 'state' && message.session.hostId === hostId) return message.session
      if (message.type === 'ended' && message.hostId === hostId) return undefined
    }
    return undefined
  }

  async until(
    what: string,
    fits: (view: SessionView) => boolean,
    hostId: number,
    timeoutMs = 10_000,
  ): Promise<void> {
    try {
      await waitFor(`host ${this.hostId}: ${what}`, timeoutMs, () => {
        const view = this.view(hostId)
        return view !== undefined && fits(view)
      })
    } catch (cause) {
      throw new Error(`host ${this.hostId}: ${what}: ${JSON.stringify(this.view(hostId))}; ${this.#stderr}`, {
        cause,
      })
    }
  }

  /** @returns after how many ms it ended */
  async kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
    const child = this.#process
    this.#process = undefined
    this.#gateway?.destroy()
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return 0
    const gone = new Promise((resolve) => child.once('exit', resolve))
    const since = performance.now()
    child.kill(signal)
    await gone
    return performance.now() - since
  }

  async end(): Promise<void> {
    for (const child of this.#commands) child.kill('SIGKILL')
    await this.kill('SIGKILL')
  }
}

const dial = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })

let made = 0

export interface P2pNet {
  readonly hosts: P2pNetHost[]
  /** The namespace of the switch. */
  readonly switchNs: string
  close(): Promise<void>
}

/** Makes switch and hosts, without starting anything in them. */
export async function p2pNet(count: number): Promise<P2pNet> {
  const prefix = `fp-${process.pid}-${made++}`
  const folder = mkdtempSync(join(tmpdir(), 'flatnet-p2p-'))
  const hosts = Array.from({ length: count }, (_, i) => new P2pNetHost(i + 1, `${prefix}-${i + 1}`, folder))
  const close = async () => {
    await Promise.all(hosts.map((host) => host.end()))
    for (const name of [prefix, ...hosts.map(({ netns }) => netns)]) spawnSync('ip', ['netns', 'del', name])
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    layCables(prefix, hosts)
    for (const { hostId } of hosts) mkdirSync(join(folder, `${hostId}`), { recursive: true })
    return { hosts, switchNs: prefix, close }
  } catch (error) {
    await close()
    throw error
  }
}

const addressOf = (host: P2pNetHost): string => `10.0.0.${host.hostId}:${PORT}`

/** Gives both a session with the other, as their gateways would after offer and answer. */
export function introduce(
  a: P2pNetHost,
  b: P2pNetHost,
  options: { addressOf?: (host: P2pNetHost) => string } = {},
): void {
  const address = options.addressOf ?? addressOf
  for (const [host, peer] of [
    [b, a],
    [a, b],
  ] as const) {
    const candidates = [{ address: address(peer) }]
    host.order({ type: 'gatewayPath', hostId: peer.hostId, isUp: true })
    host.order({
      type: 'session',
      hostId: peer.hostId,
      attempt: ATTEMPT,
      secret: SECRET,
      candidates,
      validUntil: FOR_EVER,
    })
    host.order({ type: 'gatewayPath', hostId: peer.hostId, isUp: true })
  }
}

/** Waits until both have proven the path. @returns after how many ms */
export async function proven(a: P2pNetHost, b: P2pNetHost, timeoutMs = 10_000): Promise<number> {
  const since = performance.now()
  await Promise.all([
    a.until('proven', (view) => view.isProven, b.hostId, timeoutMs),
    b.until('proven', (view) => view.isProven, a.hostId, timeoutMs),
  ])
  return performance.now() - since
}

/** Promotes the path on both. */
export async function promote(a: P2pNetHost, b: P2pNetHost, generation = 1): Promise<void> {
  const seen = [a.heard.length, b.heard.length]
  a.order({ type: 'promote', hostId: b.hostId, attempt: ATTEMPT, generation })
  b.order({ type: 'promote', hostId: a.hostId, attempt: ATTEMPT, generation })
  await Promise.all([a.message('promoted', seen[0]), b.message('promoted', seen[1])])
}

/** Two promoted hosts with a full path MTU. */
export async function promotedPair(
  options: P2pStart = {},
): Promise<P2pNet & { a: P2pNetHost; b: P2pNetHost }> {
  const net = await p2pNet(2)
  const [a, b] = net.hosts
  try {
    if (a === undefined || b === undefined) throw new Error('no hosts')
    await Promise.all([a.start(options), b.start(options)])
    introduce(a, b)
    await proven(a, b)
    await promote(a, b)
    return { ...net, a, b }
  } catch (error) {
    await net.close()
    throw error
  }
}
