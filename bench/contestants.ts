/** The contestants: each attaches a namespace and detaches it, as Podman would, with every process timed. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Timed, timed } from './spawn.ts'

export const DEBIAN = '/usr/lib/cni'
const NETAVARK = '/usr/lib/podman/netavark'

type Json = Readonly<Record<string, unknown>>

export interface Contestant {
  readonly name: string
  add(container: string): Timed
  del(container: string): Timed
}

const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

const total = (parts: readonly Timed[]): Timed => ({
  ms: parts.reduce((sum, part) => sum + part.ms, 0),
  cpuMs: parts.reduce((sum, part) => sum + part.cpuMs, 0),
  code: 0,
})

function checked(timing: Timed, what: string, stdout: string): Timed {
  if (timing.code === 0) return timing
  throw new Error(`${what}: exit ${timing.code}: ${readFileSync(stdout, 'utf8').slice(0, 500)}`)
}

interface Plugin {
  readonly path: string
  readonly conf: Json
}

/** Runs the plugins of a conflist in order, each with the result of the one before, as libcni does. */
class Chain implements Contestant {
  readonly name: string
  readonly #dir: string
  readonly #head: Json
  readonly #plugins: readonly Plugin[]
  /** The result that DEL gets, by container. */
  readonly #results = new Map<string, unknown>()

  constructor(name: string, dir: string, head: Json, plugins: readonly Plugin[]) {
    this.name = name
    this.#dir = join(dir, name.replaceAll(/\W/g, '-'))
    this.#head = head
    this.#plugins = plugins
    mkdirSync(this.#dir)
  }

  add(container: string): Timed {
    const parts: Timed[] = []
    let prevResult: unknown
    for (const [i] of this.#plugins.entries()) {
      parts.push(this.#run('ADD', container, i, prevResult))
      prevResult = JSON.parse(readFileSync(join(this.#dir, 'stdout'), 'utf8'))
    }
    this.#results.set(container, prevResult)
    return total(parts)
  }

  del(container: string): Timed {
    const prevResult = this.#results.get(container)
    this.#results.delete(container)
    const last = this.#plugins.length - 1
    return total(this.#plugins.map((_, i) => this.#run('DEL', container, last - i, prevResult)))
  }

  #run(verb: 'ADD' | 'DEL', container: string, index: number, prevResult: unknown): Timed {
    const { path, conf } = this.#plugins[index]!
    const [stdin, stdout] = [join(this.#dir, 'stdin'), join(this.#dir, 'stdout')]
    writeFileSync(
      stdin,
      JSON.stringify({ ...this.#head, ...conf, ...(prevResult !== undefined && { prevResult }) }),
    )
    return checked(timed([path], verbEnv(verb, container), { stdin, stdout }), `${this.name} ${verb}`, stdout)
  }
}

export const verbEnv = (verb: string, container: string): Record<string, string> => ({
  ...ENV,
  CNI_COMMAND: verb,
  CNI_CONTAINERID: container,
  CNI_NETNS: `/run/netns/${container}`,
  CNI_IFNAME: 'eth0',
  CNI_PATH: DEBIAN,
})

export interface FlatnetOptions {
  readonly hostId?: number
  readonly supernet?: string
  readonly hostPrefix?: number
  readonly dataDir?: string
  readonly network?: string
  readonly ports?: readonly Json[]
}

/** The entry of the shipped conflist; no gateway listens. */
export function flatnetConf(dir: string, options: FlatnetOptions): Json {
  const { hostId = 1, supernet = '10.100.0.0/16', hostPrefix = 24, network = `net-${hostId}` } = options
  return {
    cniVersion: '1.0.0',
    name: network,
    type: 'flatnet',
    bridge: `fl-${hostId}`,
    ipam: { type: 'flatnet', hostId, supernet, hostPrefix },
    dataDir: options.dataDir ?? join(dir, `data-${hostId}`),
    registrar: { endpoint: 'unix:///run/flatnet-bench.sock', timeoutMs: 100 },
    ...(options.ports !== undefined && { runtimeConfig: { portMappings: options.ports } }),
  }
}

export const flatnet = (name: string, path: string, dir: string, options: FlatnetOptions = {}): Contestant =>
  new Chain(name, dir, {}, [{ path, conf: flatnetConf(dir, options) }])

const bridge = (bench: string, subnet: string, ipMasq: boolean, dir: string) => ({
  path: join(DEBIAN, 'bridge'),
  conf: {
    type: 'bridge',
    bridge: bench,
    isGateway: true,
    ipMasq,
    hairpinMode: true,
    ipam: {
      type: 'host-local',
      dataDir: join(dir, 'host-local'),
      routes: [{ dst: '0.0.0.0/0' }],
      ranges: [[{ subnet }]],
    },
  },
})

/** Debian's reference plugins; the chain is what Podman 4 writes for its network `podman`. */
export function debian(dir: string): Contestant[] {
  const other = (type: string) => ({ path: join(DEBIAN, type), conf: { type } })
  const head = (name: string) => ({ cniVersion: '0.4.0', name })
  return [
    new Chain('bridge', dir, head('bare'), [bridge('bench-bare', '10.71.0.0/16', false, dir)]),
    new Chain('bridge+ipMasq', dir, head('masq'), [bridge('bench-masq', '10.72.0.0/16', true, dir)]),
    new Chain("Podman's chain", dir, head('podman'), [
      bridge('bench-podman', '10.73.0.0/16', true, dir),
      other('portmap'),
      other('firewall'),
      other('tuning'),
    ]),
  ]
}

/** Podman 4's other backend. It gets the address as input, since Podman keeps the leases. */
export class Netavark implements Contestant {
  readonly name = 'netavark'
  readonly #dir: string
  #next = 10

  constructor(dir: string) {
    this.#dir = join(dir, 'netavark')
    mkdirSync(this.#dir)
  }

  add(container: string): Timed {
    this.#next = 10 + ((this.#next - 9) % 200)
    writeFileSync(join(this.#dir, 'stdin'), JSON.stringify(this.#options(container)))
    return this.#run('setup', container)
  }

  del(container: string): Timed {
    return this.#run('teardown', container)
  }

  #run(verb: string, container: string): Timed {
    const [stdin, stdout] = [join(this.#dir, 'stdin'), join(this.#dir, 'stdout')]
    const argv = [NETAVARK, '--config', this.#dir, verb, `/run/netns/${container}`]
    return checked(timed(argv, ENV, { stdin, stdout }), `netavark ${verb}`, stdout)
  }

  #options(container: string): Json {
    const network = {
      id: 'a'.repeat(64),
      name: 'bench',
      driver: 'bridge',
      network_interface: 'bench-neta',
      subnets: [{ subnet: '10.74.0.0/16', gateway: '10.74.0.1' }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      ipam_options: { driver: 'host-local' },
    }
    return {
      container_id: container,
      container_name: container,
      networks: { bench: { interface_name: 'eth0', static_ips: [`10.74.0.${this.#next}`] } },
      network_info: { bench: network },
    }
  }
}
