/** Calls the plugin as netavark does: a verb on the command line, JSON on stdin, one JSON document out. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { optionsOf } from '../../../conf/network-options.ts'
import type { JsonObject } from '../../../core/json.ts'
import type { Ran } from '../kernel/machine.ts'
import type { Executable } from '../run/executable.ts'
import { CniHost, cniHost } from './cni.ts'

// biome-ignore lint/suspicious/noExplicitAny: what a plugin prints is what is tested
type Json = any

export interface NetavarkReply extends Ran {
  /** stdout as JSON; undefined when it is empty. */
  readonly json: Json
}

type Fields = Readonly<Record<string, unknown>>

export interface SetupCall {
  readonly id?: string
  readonly netns?: string
  /** Override fields of the request, of its network and of its network_options. */
  readonly request?: Fields
  readonly network?: Fields
  readonly options?: Fields
  readonly env?: Readonly<Record<string, string>>
  readonly wrapper?: readonly string[]
}

export class NetavarkHost extends CniHost {
  /** As netavark 1.14 and 1.17 hand a network over: every key is there, null where it is not set. */
  network(over: Fields = {}): Record<string, unknown> {
    const { cniVersion: _, name: __, ...entry } = this.conf()
    return {
      dns_enabled: true,
      driver: 'flatnet',
      id: 'f'.repeat(64),
      internal: false,
      ipv6_enabled: false,
      name: 'flatnet',
      network_interface: 'flatnet0',
      options: optionsOf(entry as JsonObject),
      ipam_options: { driver: 'flatnet' },
      subnets: [{ subnet: '10.100.1.0/24', gateway: '10.100.1.1' }],
      routes: null,
      network_dns_servers: null,
      ...over,
    }
  }

  request({ id = 'c1', request = {}, network = {}, options = {} }: SetupCall): Record<string, unknown> {
    return {
      container_id: id,
      container_name: `name-${id}`,
      port_mappings: null,
      network: this.network(network),
      network_options: {
        aliases: [id.slice(0, 12)],
        interface_name: 'eth0',
        static_ips: null,
        static_mac: null,
        options: null,
        ...options,
      },
      ...request,
    }
  }

  async verb(args: readonly string[], stdin: string, call: SetupCall = {}): Promise<NetavarkReply> {
    const env = Object.entries({ RUST_LOG: 'warn', ...call.env }).map(([key, value]) => `${key}=${value}`)
    const argv = ['env', ...env, ...(call.wrapper ?? []), join(this.binDir, 'flatnet'), ...args]
    const ran = await this.m.run(argv, { input: stdin })
    return { ...ran, json: ran.stdout.trim() === '' ? undefined : JSON.parse(ran.stdout) }
  }

  setup(call: SetupCall = {}): Promise<NetavarkReply> {
    return this.#attachment('setup', call)
  }

  teardown(call: SetupCall = {}): Promise<NetavarkReply> {
    return this.#attachment('teardown', call)
  }

  #attachment(verb: string, call: SetupCall): Promise<NetavarkReply> {
    const { id = 'c1', netns = `/run/netns/${id}` } = call
    return this.verb([verb, netns], JSON.stringify(this.request(call)), call)
  }

  create(over: Fields = {}): Promise<NetavarkReply> {
    const { subnets: _, network_interface: __, ipam_options: ___, ...network } = this.network(over)
    return this.verb(['create'], JSON.stringify({ ...network, created: '0001-01-01T00:00:00Z', ...over }))
  }
}

export async function netavarkHost(t: Pick<Test, 'teardown'>, executable: Executable): Promise<NetavarkHost> {
  const { m, version } = await cniHost(t, executable)
  return new NetavarkHost(m, version)
}
