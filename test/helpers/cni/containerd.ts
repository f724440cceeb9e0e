/** Debian's containerd on its own machine: its own store, socket, CNI folders and images. */
import { randomUUID } from 'node:crypto'
import { existsSync, globSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { leasesOf, leftovers } from '../kernel/leftovers.ts'
import { type Background, type Machine, machine, type Ran } from '../kernel/machine.ts'
import { type Executable, ROOT } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'
import { imageTar } from './image.ts'
import { writeImage } from './oci-archive.ts'

const CRICTL_DIR = join(ROOT, '.build/crictl')
const CRICTL = join(CRICTL_DIR, 'v1.37.0/crictl')

/** Why containerd cannot run here, or false. `bin/test` installs what is missing, so under CI=true a reason fails. */
export function containerdMissing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces)'
  const needed = ['/usr/bin/containerd', '/usr/bin/ctr', '/usr/sbin/runc', '/bin/busybox', LOOPBACK]
  const missing = needed.filter((path) => !existsSync(path))
  return missing.length > 0 && `not installed: ${missing.join(', ')}`
}

/** The machine's Go, if it is too old to build crictl; without crictl there are no pods. */
export function goTooOld(): string | undefined {
  const file = join(CRICTL_DIR, 'old-go')
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

/** Why crictl is missing, or false. */
export function crictlMissing(): string | false {
  if (existsSync(CRICTL)) return false
  const reason = join(CRICTL_DIR, 'missing')
  return `no crictl: ${existsSync(reason) ? readFileSync(reason, 'utf8').trim() : 'bin/test conformance builds it'}`
}

/** Serves /www on port 80. */
export const WEB = 'localhost/flatnet-web:1'
/** The container of each pod that holds its namespaces; Kubernetes calls it pause. */
const PAUSE = 'localhost/flatnet-pause:1'
const LOOPBACK = '/usr/lib/cni/loopback'
const SOCKET = '/run/ft-containerd.sock'
/** Of CRI; `ctr` uses it too, so that both see the images. */
const NAMESPACE = 'k8s.io'
const DATA_DIR = '/var/lib/flatnet'

const FOREIGN_STORES = ['aufs', 'btrfs', 'devmapper', 'overlayfs', 'zfs'].map(
  (it) => `io.containerd.snapshotter.v1.${it}`,
)

/**
 * The CNI folders stay containerd's own, as ctr has no option for them; the machine has an /etc and an /opt of its own.
 * `restrict_oom_score_adj`: a sandbox may not lower its score. `native`: overlays of the machine hold no overlay.
 */
const config = (dir: string): string => `version = 2
root = "${dir}/containerd"
state = "/run/ft-containerd"
disabled_plugins = ${JSON.stringify(FOREIGN_STORES)}
[grpc]
address = "${SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "${dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
`

// biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
type Json = any

export interface Pod {
  /** Of the sandbox, which CNI calls the container. */
  readonly id: string
  /** As CRI tells it. */
  readonly ip: string
  /** Of the sandbox's process. */
  readonly pid: number
  remove(): Promise<void>
}

export class ContainerdHost {
  readonly m: Machine
  /** Tells this run's cgroups from those of another, which have the same root. */
  readonly #tag: string
  #daemon: Background | undefined

  constructor(m: Machine, tag: string) {
    this.m = m
    this.#tag = tag
  }

  async prepare(): Promise<void> {
    const conf = {
      cniVersion: '1.0.0',
      name: 'flatnet',
      plugins: [
        {
          type: 'flatnet',
          bridge: 'flatnet0',
          ipam: { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/16' },
          dataDir: DATA_DIR,
          registrar: { endpoint: 'unix:///run/ft/gateway.sock', timeoutMs: 100 },
          capabilities: { portMappings: true, ips: true, mac: true, aliases: true },
        },
      ],
    }
    // CRI calls loopback for each pod.
    await this.m.sh(`mkdir -p /etc/cni/net.d /opt/cni/bin; cp ${LOOPBACK} /opt/cni/bin`)
    await this.write('/etc/cni/net.d/10-flatnet.conflist', JSON.stringify(conf))
    const configFile = join(this.m.dir, 'containerd.toml')
    writeFileSync(configFile, config(this.m.dir))
    this.#daemon = await this.m.start(['containerd', '--config', configFile], { name: 'containerd' })
    await waitFor('containerd answers', 60_000, async () => {
      if (!(await this.#daemon?.alive())) throw new Error(`containerd has ended: ${this.log()}`)
      return (await this.ctr('version')).rc === 0
    })
    await this.#import(WEB, ['/bin/httpd', '-f', '-h', '/www'])
    await this.#import(PAUSE, ['/bin/sleep', '2147483647'])
    await waitFor('CRI has seen the images', 30_000, async () => {
      const { images } = JSON.parse(await this.crictl('images', '-o', 'json'))
      return images.length === 2
    })
  }

  /** Where containerd looks for plugins: replaced by rename, as it may be in use. */
  async install(executable: Executable): Promise<void> {
    await this.m.sh(`cp ${executable.path} /opt/cni/bin/.new && mv /opt/cni/bin/.new /opt/cni/bin/flatnet`)
  }

  async write(path: string, text: string): Promise<void> {
    const ran = await this.m.run(['sh', '-c', `cat >${path}`], { input: text })
    if (ran.rc !== 0) throw new Error(`${path}: ${ran.stderr}`)
  }

  ctr(...args: string[]): Promise<Ran> {
    return this.m.run(['ctr', '-a', SOCKET, '-n', NAMESPACE, ...args])
  }

  /** Runs ctr, which has to succeed. */
  async ctrOk(...args: string[]): Promise<string> {
    const ran = await this.ctr(...args)
    if (ran.rc !== 0) throw new Error(`ctr ${args.join(' ')}: exit ${ran.rc}: ${ran.stderr}${this.log()}`)
    return ran.stdout.trim()
  }

  /** Runs crictl, which has to succeed. */
  async crictl(...args: string[]): Promise<string> {
    const at = ['-r', `unix://${SOCKET}`, '-i', `unix://${SOCKET}`, '-t', '60s']
    const ran = await this.m.run([CRICTL, ...at, ...args])
    if (ran.rc !== 0) throw new Error(`crictl ${args.join(' ')}: exit ${ran.rc}: ${ran.stderr}${this.log()}`)
    return ran.stdout.trim()
  }

  /** Runs ctr in the background, without a terminal. */
  startCtr(...args: string[]): Promise<Background> {
    return this.m.start(['ctr', '-a', SOCKET, '-n', NAMESPACE, ...args], { name: 'ctr' })
  }

  /** Of `ctr run`. */
  options(name: string): string[] {
    return ['--snapshotter', 'native', '--cgroup', `/ft-${this.#tag}/${name}`]
  }

  /** Runs a pod with one container, as a kubelet does. */
  async runPod(name: string, port: { hostPort: number; containerPort: number }): Promise<Pod> {
    const uid = randomUUID()
    const pod = {
      metadata: { name, namespace: 'default', uid, attempt: 0 },
      log_directory: this.m.dir,
      port_mappings: [{ host_port: port.hostPort, container_port: port.containerPort, protocol: 0 }],
      linux: { cgroup_parent: `/ft-${this.#tag}` },
    }
    const container = { metadata: { name }, image: { image: WEB }, log_path: `${name}.log`, linux: {} }
    const podFile = join(this.m.dir, 'pod.json')
    const containerFile = join(this.m.dir, 'container.json')
    writeFileSync(podFile, JSON.stringify(pod))
    writeFileSync(containerFile, JSON.stringify(container))
    const id = await this.crictl('runp', podFile)
    await this.crictl('start', await this.crictl('create', '--no-pull', id, containerFile, podFile))
    const { status, info } = JSON.parse(await this.crictl('inspectp', '-o', 'json', id))
    return {
      id,
      ip: status.network.ip,
      pid: info.pid,
      remove: async () => void (await this.crictl('rmp', '-f', id)),
    }
  }

  leftovers(): Promise<string[]> {
    return leftovers(this.m, this.m.path(DATA_DIR))
  }

  leases() {
    return leasesOf(this.m.path(DATA_DIR), 'flatnet')
  }

  /** What containerd complains of. */
  log(): string {
    const lines = (this.#daemon?.log() ?? '').split('\n')
    return lines
      .filter((line) => /level=(error|fatal)/.test(line))
      .slice(-10)
      .join('\n')
  }

  /** The network that CRI gives to pods. */
  async networkOfPods(): Promise<string | undefined> {
    const { cniconfig } = JSON.parse(await this.crictl('info'))
    return cniconfig.Networks.map(({ Config }: Json) => Config.Name).find(
      (name: string) => name !== 'cni-loopback',
    )
  }

  async #import(name: string, command: readonly string[]): Promise<void> {
    const archive = join(this.m.dir, 'image.tar')
    writeImage(archive, { rootTar: imageTar(), name, command })
    await this.ctrOk('images', 'import', '--snapshotter', 'native', archive)
  }
}

/** runc makes them in the real machine's tree, and leaves the parent that a pod names. */
function removeCgroups(tag: string): void {
  const roots = globSync([`/sys/fs/cgroup/ft-${tag}`, `/sys/fs/cgroup/*/ft-${tag}`])
  const folders = roots.flatMap((root) => [root, ...globSync(`${root}/**/*/`)])
  for (const folder of folders.sort().reverse()) rmdirSync(folder)
}

/** A machine with containerd and its images; everything is gone with the test. */
export async function containerdHost(t: Pick<Test, 'teardown'>): Promise<ContainerdHost> {
  const tag = randomUUID().slice(0, 8)
  // Runs after the machine's own, which ends every process in them: the last comes first.
  t.teardown(() => removeCgroups(tag))
  const host = new ContainerdHost(await machine(t), tag)
  await host.prepare()
  return host
}
