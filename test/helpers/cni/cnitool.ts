/** The real cnitool, libcni with a command line: bin/test builds it through the Go module proxy. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ran } from '../kernel/machine.ts'
import { ROOT } from '../run/executable.ts'
import type { CniHost } from './cni.ts'

const DIR = join(ROOT, '.build/cnitool')

export interface CniTool {
  readonly path: string
  /** 1.1.2, the newest that Debian 12's Go builds, knows no gc, no status and no CNI 1.1.0. */
  readonly hasGc: boolean
}

export function cnitool(): CniTool | undefined {
  const found = ['v1.3.0', 'v1.1.2'].find((version) => existsSync(join(DIR, version, 'cnitool')))
  return found === undefined ? undefined : { path: join(DIR, found, 'cnitool'), hasGc: found === 'v1.3.0' }
}

/** Why cnitool is missing, or false. */
export function cnitoolMissing(): string | false {
  if (cnitool()) return false
  const reason = join(DIR, 'missing')
  return `no cnitool: ${existsSync(reason) ? readFileSync(reason, 'utf8').trim() : 'bin/test conformance builds it'}`
}

export interface ToolOptions {
  readonly id?: string
  readonly ifname?: string
  readonly args?: string
  /** `runtimeConfig` by capability. */
  readonly capabilities?: Readonly<Record<string, unknown>>
}

/** Runs cnitool for a network of `writeList`, in the machine of `host`. */
export async function runTool(
  host: CniHost,
  verb: 'add' | 'check' | 'del' | 'gc' | 'status',
  network: string,
  options: ToolOptions = {},
  // biome-ignore lint/suspicious/noExplicitAny: what a plugin prints is what is tested
): Promise<Ran & { readonly json: any }> {
  const { id = 'c1', ifname = 'eth0', args = '', capabilities } = options
  const tool = cnitool()
  if (!tool) throw new Error(String(cnitoolMissing()))
  const ran = await host.m.run([tool.path, verb, network, `/run/netns/${id}`], {
    env: {
      CNI_PATH: `${host.binDir}:/usr/lib/cni`,
      NETCONFPATH: join(host.m.dir, 'net.d'),
      CNI_IFNAME: ifname,
      CNI_ARGS: args,
      CAP_ARGS: JSON.stringify(capabilities ?? {}),
    },
  })
  return { ...ran, json: ran.stdout.trim().startsWith('{') ? JSON.parse(ran.stdout) : undefined }
}

/** Writes a conflist; the plugins' `cniVersion` and `name` come from the list, as libcni does it. */
export function writeList(host: CniHost, name: string, plugins: readonly object[]): void {
  mkdirSync(join(host.m.dir, 'net.d'), { recursive: true })
  const list = { cniVersion: host.version, name, plugins }
  writeFileSync(join(host.m.dir, 'net.d', `${name}.conflist`), JSON.stringify(list))
}
