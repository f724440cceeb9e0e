/** Drives a CNI plugin on its own machine as a runtime does: environment and stdin in, one JSON document out. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { leasesOf, leftovers } from '../kernel/leftovers.ts'
import { type Machine, machine, type Ran } from '../kernel/machine.ts'
import type { Executable } from '../run/executable.ts'

/** Every version that the plugin claims, oldest first. */
export const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type Version = (typeof VERSIONS)[number]

/** CHECK came with 0.4.0, GC and STATUS with 1.1.0 (SPEC, "CNI operations"). */
export const hasCheck = (version: string): boolean => !version.startsWith('0.3.')
export const hasGc = (version: string): boolean => version === '1.1.0'

export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'

// biome-ignore lint/suspicious/noExplicitAny: what a plugin prints is what is tested
type Json = any

export interface Call {
  readonly containerId?: string
  readonly netns?: string
  readonly ifname?: string
  readonly args?: string
  /** Overrides keys of the network configuration. */
  readonly conf?: Readonly<Record<string, unknown>>
  /** Replaces the configuration. */
  readonly stdin?: string
  /** Overrides CNI_ variables; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** A command that runs the plugin as its own argument, e.g. `['strace', '-o', file]`. */
  readonly wrapper?: readonly string[]
}

export interface Reply extends Ran {
  /** stdout as JSON; undefined when it is empty. Anything but one document throws in `call`. */
  readonly json: Json
}

/** Needs root, as everything here makes namespaces. */
export const needsRoot: string | false = process.getuid?.() === 0 ? false : 'needs root (network namespaces)'

export class CniHost {
  readonly m: Machine
  readonly dataDir: string
  /** Holds the executable as `flatnet`. */
  readonly binDir: string
  readonly version: string

  constructor(m: Machine, version: string) {
    this.m = m
    this.version = version
    this.dataDir = join(m.dir, 'flatnet')
    this.binDir = join(m.dir, 'cni-bin')
  }

  /** The same machine, driven in another version. */
  speaking(version: string): CniHost {
    return new CniHost(this.m, version)
  }

  /** The plugin's entry as a runtime sends it, host 1 of 10.100.0.0/16. */
  conf(over: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return {
      cniVersion: this.version,
      name: 'flatnet',
      type: 'flatnet',
      bridge: 'flatnet0',
      ipam: { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/16' },
      dataDir: this.dataDir,
      // No gateway listens here: the plugin must work without one.
      registrar: { endpoint: 'unix:///run/ft/gateway.sock', timeoutMs: 100 },
      ...over,
    }
  }

  /** A network namespace that plays a container; returns its path. */
  async container(name: string): Promise<string> {
    await this.m.exec('ip', 'netns', 'add', name)
    return `/run/netns/${name}`
  }

  async raw(verb: Verb | string | undefined, call: Call = {}): Promise<Ran> {
    const { containerId = 'c1', netns = `/run/netns/${containerId}`, ifname = 'eth0', args } = call
    const attachment = verb !== 'GC' && verb !== 'STATUS' && verb !== 'VERSION'
    const env: Record<string, string | undefined> = {
      CNI_COMMAND: verb,
      CNI_PATH: `${this.binDir}:/usr/lib/cni`,
      ...(attachment && {
        CNI_CONTAINERID: containerId,
        CNI_NETNS: netns,
        CNI_IFNAME: ifname,
        CNI_ARGS: args,
      }),
      ...call.env,
    }
    const settings = Object.entries(env).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}`],
    )
    return this.m.run(['env', ...settings, ...(call.wrapper ?? []), join(this.binDir, 'flatnet')], {
      input: call.stdin ?? JSON.stringify(this.conf(call.conf)),
    })
  }

  /** Runs a verb; throws when stdout holds anything but nothing or one JSON document. */
  async call(verb: Verb | string, call: Call = {}): Promise<Reply> {
    const ran = await this.raw(verb, call)
    return { ...ran, json: ran.stdout.trim() === '' ? undefined : JSON.parse(ran.stdout) }
  }

  /** Calls a verb that has to succeed; throws the error object as message. */
  async ok(verb: Verb, call: Call = {}): Promise<Json> {
    const reply = await this.call(verb, call)
    if (reply.rc !== 0) throw new Error(`${verb}: exit ${reply.rc}: ${reply.stdout}${reply.stderr}`)
    return reply.json
  }

  leftovers(): Promise<string[]> {
    return leftovers(this.m, this.dataDir)
  }

  leases(network = 'flatnet') {
    return leasesOf(this.dataDir, network)
  }
}

/** A machine with the executable installed as `flatnet`. */
export async function cniHost(
  t: Pick<Test, 'teardown'>,
  executable: Executable,
  version: string = '1.1.0',
): Promise<CniHost> {
  const host = new CniHost(await machine(t), version)
  mkdirSync(host.binDir)
  copyFileSync(executable.path, join(host.binDir, 'flatnet'))
  return host
}

/** Why Debian's reference plugins cannot be used, or false. */
export function debianPluginsMissing(...names: string[]): string | false {
  const missing = names.filter((name) => !existsSync(`/usr/lib/cni/${name}`))
  return missing.length > 0 && `not installed: containernetworking-plugins (${missing.join(', ')})`
}
