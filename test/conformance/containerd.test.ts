/** The plugin under Debian's containerd: `ctr run --cni`, and a pod by CRI with a published port. */
import t, { type Test } from 'tap'
import {
  type ContainerdHost,
  containerdHost,
  containerdMissing,
  crictlMissing,
  goTooOld,
  WEB,
} from '../helpers/cni/containerd.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** Debian's Podman brings it. By name it comes behind `10-flatnet.conflist` and before `flatnet.conflist`. */
const PODMAN_FILE = '87-podman-bridge.conflist'
/** Of `neighbour`. */
const LAN = ['ip', 'netns', 'exec', 'lan']
const PAGE = 'flatnet test page\n'
const oldGo = goTooOld()
if (oldGo !== undefined) t.comment(`note: ${oldGo} builds no crictl; containerd was driven without pods`)

t.test('containerd', { skip: containerdMissing() }, async (t) => {
  const host = await containerdHost(t)
  const conf = { cniVersion: '0.4.0', name: 'podman', plugins: [{ type: 'bridge' }] }
  await host.write(`/etc/cni/net.d/${PODMAN_FILE}`, JSON.stringify(conf))
  await host.m.neighbour()
  const pods = { skip: crictlMissing() }
  for (const executable of executables()) {
    t.test(executable.name, async (t) => {
      await host.install(executable)
      await t.test('ctr run --cni', (t) => underCtr(t, host))
      if (oldGo === undefined) await t.test('a pod by CRI', pods, (t) => underCri(t, host))
    })
  }
  if (oldGo === undefined) t.test('the first file by name', pods, (t) => firstFile(t, host))
})

async function underCtr(t: Test, host: ContainerdHost): Promise<void> {
  // In the foreground: detached, ctr never calls DEL.
  const run = await host.startCtr('run', '--rm', '--cni', ...host.options('web'), WEB, 'web')
  const pid = await waitFor('the task runs', 30_000, async () => {
    if (!(await run.alive())) throw new Error(`ctr run has ended: ${run.log()}${host.log()}`)
    const [, at] = /^web +(\d+) +RUNNING/m.exec(await host.ctrOk('task', 'ls')) ?? []
    return Number(at)
  })
  const leases = host.leases()
  t.match(leases, [{ containerId: 'k8s.io-web', ip: /^10\.100\.1\.\d+$/ }])
  await checkInside(t, host, pid, leases[0]!.ip)
  t.ok(await answers(host, [], leases[0]!.ip), 'the container answers its host')
  await host.ctrOk('task', 'kill', '-s', 'SIGKILL', 'web')
  await waitFor('ctr run ends', 30_000, async () => !(await run.alive()))
  t.strictSame(await host.leftovers(), [])
}

async function underCri(t: Test, host: ContainerdHost): Promise<void> {
  const before = await kernelState(host)
  const pod = await host.runPod('shop', { hostPort: 8077, containerPort: 80 })
  t.match(host.leases(), [{ containerId: pod.id, ip: pod.ip, name: 'shop' }])
  await checkInside(t, host, pod.pid, pod.ip)
  t.ok(await answers(host, LAN, '198.51.100.1:8077'), 'the published port answers a neighbour')
  t.equal((await host.leftovers()).length, 3, 'link, published port and lease')
  await pod.remove()
  t.strictSame(await host.leftovers(), [])
  t.equal(await kernelState(host), before)
}

/** containerd gives all pods the network of the first file. */
async function firstFile(t: Test, host: ContainerdHost): Promise<void> {
  const taken = (name: string) =>
    waitFor(`CRI takes ${name}`, 30_000, async () => (await host.networkOfPods()) === name)
  t.ok(await taken('flatnet'), `10-flatnet.conflist comes before ${PODMAN_FILE}`)
  await host.m.sh('cd /etc/cni/net.d && mv 10-flatnet.conflist flatnet.conflist')
  t.ok(await taken('podman'), 'and flatnet.conflist behind it')
}

/** Its httpd may still be at its start. @param from a command that runs others elsewhere */
function answers({ m }: ContainerdHost, from: readonly string[], address: string): Promise<boolean> {
  const asked = [...from, 'wget', '-qO-', '-T', '5', `http://${address}/`]
  return waitFor(`${address} answers`, 20_000, async () => (await m.run(asked)).stdout === PAGE)
}

/** Address and route, by ip, in the network namespace of a process. */
async function checkInside(t: Test, { m }: ContainerdHost, pid: number, address: string): Promise<void> {
  const ip = (...argv: string[]) => m.json('nsenter', '-t', String(pid), '-n', 'ip', '-j', ...argv)
  t.match(await ip('-4', 'addr', 'show', 'eth0'), [{ addr_info: [{ local: address, prefixlen: 24 }] }])
  t.match(await ip('route', 'show', 'default'), [{ gateway: '10.100.1.1', dev: 'eth0' }])
}

/** Numbers that the kernel gives out anew or that only grow, and a bridge's carrier, which follows its ports late. */
const PASSING = ['handle', 'packets', 'bytes', 'flags', 'operstate']
const withoutPassing = (key: string, value: unknown): unknown => (PASSING.includes(key) ? undefined : value)

/** Links, addresses, routes, namespaces and rules, as text to be compared. */
async function kernelState({ m }: ContainerdHost): Promise<string> {
  const links: { ifname: string; address: string; mtu: number }[] = await m.json('ip', '-j', 'link')
  const parts = [
    links.map(({ ifname, address, mtu }) => ({ ifname, address, mtu })),
    await m.json('ip', '-j', '-4', 'addr'),
    await m.json('ip', '-j', '-4', 'route', 'show', 'table', 'all'),
    await m.json('ip', '-j', 'netns'),
    (await m.json('nft', '-j', 'list', 'ruleset')).nftables,
  ]
  return parts.flatMap((part) => part.map((item: unknown) => JSON.stringify(item, withoutPassing))).join('\n')
}
