/** A Podman on its own machine, with its own storage, networks, leases and gateway. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Assignment } from '../../../core/api.ts'
import type { Lease } from '../../../ipam/lease.ts'
import { IMAGE, imageTar } from '../cni/image.ts'
import { leasesOf, leftovers } from '../kernel/leftovers.ts'
import { type Background, type Machine, machine, type Ran } from '../kernel/machine.ts'
import { netnsProgram } from '../kernel/netns-programs.ts'
import { cliExecutable, type Executable } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'
import { type NetworkConfig, PODMAN4, type PodmanRuntime } from './runtime.ts'

type Json = Readonly<Record<string, unknown>>

export interface NetworkOptions {
  /** Default `flatnet`. */
  readonly name?: string
  /** Overrides keys of the plugin's entry in the conflist. */
  readonly plugin?: Json
  /** Overrides keys of `ipam`. */
  readonly ipam?: Json
  /** Plugins that follow in the chain. */
  readonly behind?: readonly Json[]
}

export interface PodmanOptions {
  /** Default: this machine's own Podman 4. */
  readonly runtime?: PodmanRuntime
  /** Default: every test host is host 1 of 10.100.0.0/16. */
  readonly networks?: readonly NetworkOptions[]
}

/** The part of `podman inspect` that tests use. */
export interface Inspected {
  readonly Id: string
  readonly State: { readonly Pid: number; readonly Running: boolean; readonly Status: string }
  readonly NetworkSettings: {
    readonly SandboxKey: string
    readonly Networks: Readonly<
      Record<
        string,
        { IPAddress: string; MacAddress: string; Gateway: string; IPPrefixLen: number; Aliases?: string[] }
      >
    >
  }
}

export interface Answer {
  /** 0 without an answer; `error` says why. */
  readonly status: number
  readonly body: string
  readonly error?: string
}

/** A place to run a command in: the machine, or a neighbour on its cable. */
export interface Place {
  run(argv: readonly string[]): Promise<Ran>
}

/** Sends a GET from a place. Give a short timeout where no answer is expected. */
export async function get(from: Place, url: string, headers: Json = {}, timeoutMs = 10_000): Promise<Answer> {
  const { stdout, stderr } = await from.run(
    netnsProgram('http', url, JSON.stringify(headers), String(timeoutMs)),
  )
  if (stdout === '') throw new Error(`GET ${url}: ${stderr}`)
  return JSON.parse(stdout)
}

/** Whether no server answers with success; a refusal and a second of silence both count. */
export async function unanswered(from: Place, url: string): Promise<boolean> {
  return (await get(from, url, {}, 1_000)).status !== 200
}

/** The answer of a `udp-echo`, '' when there is none. */
export async function askUdp(from: Place, address: string, port: number, sourcePort = 0): Promise<string> {
  return (await from.run(netnsProgram('udp-ask', address, String(port), String(sourcePort)))).stdout.trim()
}

function webCommand(name: string, args: readonly string[]): string[] {
  const network = args.some((arg) => arg === '--network' || arg === '--pod')
  return ['run', '-d', '--name', name, ...(network ? [] : ['--network', 'flatnet']), ...args, IMAGE]
}

export class PodmanHost {
  readonly m: Machine
  readonly dataDir: string
  readonly networkDir: string
  readonly pluginDir: string
  /** On the machine's tmpfs, as /run is on a real one. */
  readonly socket = '/run/ft/gateway.sock'
  readonly #executable: Executable
  readonly runtime: PodmanRuntime

  constructor(m: Machine, executable: Executable, runtime: PodmanRuntime) {
    this.m = m
    this.#executable = executable
    this.runtime = runtime
    this.dataDir = join(m.dir, 'flatnet')
    this.networkDir = join(m.dir, 'net.d')
    this.pluginDir = join(m.dir, 'cni-bin')
  }

  async prepare(options: PodmanOptions): Promise<void> {
    mkdirSync(this.networkDir)
    mkdirSync(this.pluginDir)
    copyFileSync(this.#executable.path, join(this.pluginDir, 'flatnet'))
    // In the usual place: Podman's cleanup process, a child of conmon, does not get every variable.
    const conf = this.runtime.base + this.runtime.folders(this.pluginDir, this.networkDir)
    await this.m.run(['sh', '-c', 'mkdir -p /etc/containers && cat >/etc/containers/containers.conf'], {
      input: conf,
    })
    for (const network of options.networks ?? [{}]) this.writeNetwork(network)
    await this.pod('import', '-q', '-c', 'CMD ["/bin/httpd","-f","-h","/www"]', imageTar(), IMAGE)
  }

  networkConfig(options: NetworkOptions = {}): NetworkConfig {
    const flatnet = {
      type: 'flatnet',
      bridge: 'flatnet0',
      ipam: { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/16', ...options.ipam },
      dataDir: this.dataDir,
      registrar: { endpoint: `unix://${this.socket}`, timeoutMs: 300 },
      capabilities: { portMappings: true, ips: true, mac: true, aliases: true },
      ...options.plugin,
    }
    return {
      cniVersion: '1.0.0',
      name: options.name ?? 'flatnet',
      plugins: [flatnet, ...(options.behind ?? [])],
    }
  }

  writeNetwork(options: NetworkOptions = {}): void {
    const { name } = this.networkConfig(options)
    writeFileSync(this.networkPath(name), this.runtime.networkFile(this.networkConfig(options)))
  }

  /** The file that makes the network. */
  networkPath(name: string): string {
    return join(this.networkDir, `${name}${this.runtime.networkEnding}`)
  }

  /** Runs podman, whatever its exit code. */
  podman(...args: string[]): Promise<Ran> {
    const roots = [
      '--root',
      join(this.m.dir, 'storage'),
      '--runroot',
      '/run/ft-podman',
      '--tmpdir',
      '/run/ft-libpod',
    ]
    return this.m.run(['podman', ...roots, ...args])
  }

  /** Runs podman and returns its trimmed stdout; throws with stderr unless it exits with 0. */
  async pod(...args: string[]): Promise<string> {
    const ran = await this.podman(...args)
    if (ran.rc !== 0) throw new Error(`podman ${args.join(' ')}: exit ${ran.rc}: ${ran.stderr.trim()}`)
    return ran.stdout.trim()
  }

  /** Starts a web server in a container; returns the container's id. */
  web(name: string, ...args: string[]): Promise<string> {
    return this.pod(...webCommand(name, args))
  }

  /** As `web`, whatever the exit code. */
  tryWeb(name: string, ...args: string[]): Promise<Ran> {
    return this.podman(...webCommand(name, args))
  }

  async inspect(container: string): Promise<Inspected> {
    const [found] = JSON.parse(await this.pod('container', 'inspect', container))
    return found
  }

  /** '' when it has none. */
  async address(container: string, network = 'flatnet'): Promise<string> {
    return (await this.inspect(container)).NetworkSettings.Networks[network]?.IPAddress ?? ''
  }

  /** Runs a command in a running container. */
  within(container: string, ...argv: string[]): Promise<Ran> {
    return this.podman('exec', container, ...argv)
  }

  leases(network = 'flatnet'): Lease[] {
    return leasesOf(this.dataDir, network)
  }

  /** A container's network namespace as a place to ask from. */
  async inNetns(container: string): Promise<Place> {
    const netns = (await this.inspect(container)).NetworkSettings.SandboxKey
    return { run: (argv) => this.m.run(['nsenter', `--net=${netns}`, '--', ...argv]) }
  }

  /** Runs a server of netns-programs.ts in a container's network namespace, and waits until it listens. */
  async serveIn(container: string, ...argv: Parameters<typeof netnsProgram>): Promise<Background> {
    const netns = (await this.inspect(container)).NetworkSettings.SandboxKey
    const server = await this.m.start(['nsenter', `--net=${netns}`, '--', ...netnsProgram(...argv)], {
      name: argv[0],
    })
    await waitFor(`${argv.join(' ')} listens in ${container}`, 10_000, () =>
      server.log().includes('listening'),
    )
    return server
  }

  /** Writes the gateway's configuration, starts it and waits until it answers. */
  async startGateway(over: Json = {}): Promise<Background> {
    const config = join(this.m.dir, 'flatnet.yaml')
    const conf = {
      hostId: 1,
      supernet: '10.100.0.0/16',
      dataDir: this.dataDir,
      api: { socket: this.socket },
      ...over,
    }
    writeFileSync(config, JSON.stringify(conf)) // JSON is YAML
    const gateway = await this.m.start([cliExecutable().path, 'gateway', '--config', config], {
      name: 'gateway',
    })
    await waitFor('the gateway answers', 10_000, async () => {
      if (!(await gateway.alive())) throw new Error(`the gateway has ended: ${gateway.log()}`)
      return (await this.api('GET', '/healthz')).status === 200
    })
    return gateway
  }

  /** One request to the gateway's API over its socket; 2 s. */
  api(method: string, path: string, body?: unknown): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const sent = request({ socketPath: this.m.path(this.socket), method, path, timeout: 2_000 }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text }))
    })
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer`)))
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
    return promise
  }

  async assignments(): Promise<Assignment[]> {
    const { status, body } = await this.api('GET', '/v1/assignments')
    if (status !== 200) throw new Error(`GET /v1/assignments: ${status} ${body}`)
    const parsed = JSON.parse(body)
    return Array.isArray(parsed) ? parsed : parsed.assignments
  }

  /** Removes every container and pod. @returns what is left of Flatnet except its bridge and ruleset */
  async removeAll(): Promise<string[]> {
    await this.pod('pod', 'rm', '-f', '-a', '-t', '0')
    await this.pod('rm', '-f', '-a', '-t', '0')
    return this.gone()
  }

  /** `leftovers` after the last container: conmon ends by itself, a moment after Podman. */
  async gone(): Promise<string[]> {
    const quiet = async () => !(await this.m.exec('ps', '-eo', 'comm=')).split('\n').includes('conmon')
    await waitFor('conmon ends', 10_000, quiet).catch(() => {}) // if not, `leftovers` names it
    return this.leftovers()
  }

  /** One line per finding; empty when nothing is left. */
  async leftovers(): Promise<string[]> {
    const netns: { name: string }[] = await this.m.json('ip', '-j', 'netns')
    const processes = (await this.m.exec('ps', '-eo', 'args=')).split('\n')
    return [
      ...(await leftovers(this.m, this.dataDir)),
      ...netns.filter(({ name }) => name.startsWith('netns-')).map(({ name }) => `namespace ${name}`),
      ...processes.filter((args) => /conmon|httpd/.test(args)).map((args) => `process ${args}`),
    ]
  }
}

/** A machine with Podman, the image and the networks; everything is gone with the test. */
export async function podmanHost(
  t: Pick<Test, 'teardown'>,
  executable: Executable,
  options: PodmanOptions = {},
): Promise<PodmanHost> {
  const runtime = options.runtime ?? PODMAN4
  const host = new PodmanHost(await machine(t, runtime.system), executable, runtime)
  await host.prepare(options)
  return host
}
