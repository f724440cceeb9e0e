/**
 * What makes netavark differ from a CNI runtime, each with what the plugin does about it
 * (docs/architecture/dialects.md).
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ask, httpd } from '../helpers/cni/fault-servers.ts'
import { type NetavarkHost, netavarkHost } from '../helpers/cni/netavark.ts'
import { publishedPorts } from '../helpers/kernel/leftovers.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { type Executable, executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const port = (host_port: number, over: object = {}) => ({
  request: {
    port_mappings: [{ host_ip: '', host_port, container_port: 80, protocol: 'tcp', range: 1, ...over }],
  },
})

/** Podman holds its lock for the host so long; the plugin's own limits add up to 9.5 s. */
const PATIENCE_MS = 12_000

async function timed<T>(run: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const start = performance.now()
  const value = await run()
  return { ms: performance.now() - start, value }
}

/** The environment of the caller comes with every verb. */
async function stray(t: Test, host: NetavarkHost): Promise<void> {
  for (const word of ['ADD', 'nonsense']) {
    const env = { CNI_COMMAND: word, CNI_CONTAINERID: 'x', CNI_NETNS: '/x', CNI_IFNAME: 'x' }
    const info = await host.m.run([join(host.binDir, 'flatnet'), 'info'], { env })
    t.match(JSON.parse(info.stdout), { api_version: '1.0.0' }, `info beside CNI_COMMAND=${word}`)
    const { json } = await host.setup({ env })
    t.ok(json.interfaces.eth0, `setup beside CNI_COMMAND=${word}`)
    t.equal((await host.teardown({ env })).rc, 0)
    t.same(await host.leftovers(), [])
  }
}

/** With another driver Podman names an address of its own choice as if a person had asked for it. */
async function ownAddresses(t: Test, host: NetavarkHost): Promise<void> {
  for (const ipam_options of [null, {}, { driver: 'host-local' }]) {
    const { rc, json } = await host.setup({
      network: { ipam_options },
      options: { static_ips: ['10.100.1.2'] },
    })
    t.match({ rc, json }, { rc: 1, json: { error: /^ipam_options\.driver is .*must be "flatnet"/ } })
    t.same(host.leases(), [])
  }
  const { json } = await host.setup({ options: { static_ips: ['10.200.1.77'] } })
  t.match(json.error, /10\.200\.1\.77/, 'Podman checks --ip against nothing')
}

/** Podman says that all is well after a failed teardown; the next setup may come in the same namespace. */
async function leftInPlace(t: Test, host: NetavarkHost): Promise<void> {
  const first = await host.setup(port(9100))
  const again = await host.setup(port(9101))
  t.same(again.json, first.json, again.stdout)
  t.equal(host.leases().length, 1)
  t.match(await publishedPorts(host.m), [/9101/], 'one element, the new one')
  const moved = await host.setup({ options: { static_ips: ['10.100.1.99'] } })
  t.equal(moved.json.interfaces.eth0.subnets[0].ipnet, '10.100.1.99/24')
  t.equal(host.leases().length, 1)
  t.equal((await host.teardown()).rc, 0)
  t.same(await host.leftovers(), [])
}

/** No teardown follows a setup that failed, here at its last step. */
async function undone(t: Test, host: NetavarkHost): Promise<void> {
  await host.container('c2')
  await host.setup(port(9200))
  const before = await host.leftovers()
  const { rc, json } = await host.setup({ id: 'c2', ...port(9200) })
  t.match({ rc, json }, { rc: 1, json: { error: /9200/ } })
  t.same(await host.leftovers(), before, 'nothing of the second, all of the first')
  t.equal(await host.m.exec('ip', '-j', '-n', 'c2', 'link', 'show', 'type', 'veth'), '[]\n')
  t.equal((await host.teardown({ id: 'c2', ...port(9200) })).rc, 0, 'a teardown all the same harms nothing')
  t.same(await host.leftovers(), before)
  await host.teardown(port(9200))
}

/** A setup whose answer Podman cannot read has failed for it. */
async function unread(t: Test, host: NetavarkHost): Promise<void> {
  const request = join(host.m.dir, 'request.json')
  await host.m.sh(`cat >${request} <<'EOF'\n${JSON.stringify(host.request(port(9300) as object))}\nEOF`)
  const plugin = `${join(host.binDir, 'flatnet')} setup /run/netns/c1 <${request} 2>/dev/null`
  const { stdout } = await host.m.run(['bash', '-c', `${plugin} >/dev/full; echo $?`])
  t.equal(stdout, '1\n')
  t.same(await host.leftovers(), [])
}

/** Podman asks the kernel for each published TCP port itself, before the plugin runs. */
async function conmon(t: Test, host: NetavarkHost): Promise<void> {
  const { m } = host
  await httpd(m, 'conmon', undefined, 9400)
  t.equal(await ask(m, undefined, '127.0.0.1:9400'), 'conmon 127.0.0.1')
  const lan = await m.neighbour()
  await host.setup(port(9400))
  await httpd(m, 'c1', 'c1')
  t.match(await ask(m, 'lan', `${lan.machineIp}:9400`), /^c1 /, 'from the LAN')
  t.match(await ask(m, undefined, '127.0.0.1:9400'), /^c1 /, 'from the host')
  await host.teardown(port(9400))
  t.match(await ask(m, 'lan', `${lan.machineIp}:9400`), /^conmon /)
}

/** No teardown comes when the namespace is gone; the lease is stale, and `flatnet gc` or the next setup takes it. */
async function killed(t: Test, host: NetavarkHost, executable: Executable): Promise<void> {
  await host.container('c3')
  await host.setup({ id: 'c3', ...port(9500) })
  await host.m.exec('ip', 'netns', 'del', 'c3')
  if (executable.hasCli) {
    // Where install writes a network of Podman 5, so that gc finds its leases.
    const file = '/etc/containers/networks/flatnet.json'
    await host.m.run(['sh', '-c', `mkdir -p "$(dirname ${file})" && cat >${file}`], {
      input: JSON.stringify(host.network()),
    })
    await waitFor('the link is gone', 10_000, async () =>
      (await host.leftovers()).every((line) => !line.startsWith('link')),
    )
    const ran = await host.m.run([join(host.binDir, 'flatnet'), 'gc'])
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
  } else {
    t.equal((await host.teardown({ id: 'c3', ...port(9500) })).rc, 0)
  }
  t.same(await host.leftovers(), [])
}

/** A lock that is never free, and a gateway that never answers: everything on the host waits for this verb. */
async function bounded(t: Test, host: NetavarkHost): Promise<void> {
  const { m } = host
  await host.setup()
  const lock = join(host.dataDir, 'ipam/flatnet/lock')
  const holder = await m.start(['flock', '--no-fork', lock, 'sleep', '600'])
  await waitFor('the lock is held', 10_000, async () => (await m.run(['flock', '-n', lock, 'true'])).rc !== 0)
  const [setup, teardown] = await Promise.all([
    timed(() => host.setup({ id: 'c2' })),
    timed(() => host.teardown()),
  ])
  t.match(setup.value, { rc: 1, json: { error: /lock is held by process \d+.*try again/ } })
  t.ok(setup.ms < PATIENCE_MS, `setup ended after ${Math.round(setup.ms)} ms`)
  t.match(teardown.value, { rc: 0, stdout: '', stderr: /^flatnet: teardown: .*lock is held/ })
  t.ok(teardown.ms < PATIENCE_MS, `teardown ended after ${Math.round(teardown.ms)} ms`)
  await holder.kill('SIGKILL')
  t.same((await host.setup()).json.interfaces.eth0.subnets.length, 1, 'what the teardown left is taken over')
  await host.teardown()
  t.same(await host.leftovers(), [])
}

const TRAPS = [
  ['CNI_COMMAND in the environment is of no account', stray],
  ["addresses that Podman gave out itself are refused, and those outside the host's slice", ownAddresses],
  ['what a teardown left in the same namespace is taken over, with its address', leftInPlace],
  ['a setup that fails at its last step leaves nothing', undone],
  ['a setup whose answer cannot be written leaves nothing', unread],
  ['a published port is ours, although conmon listens on it', conmon],
  ['a container that was killed leaves nothing that gc or a late teardown would not take', killed],
  ['waits have an end that a person can bear', bounded],
] as const

// Each has a machine of its own, and waits for most of its time.
t.jobs = 2
for (const executable of executables())
  t.test(executable.name, { skip: needsRoot, timeout: 300_000 }, async (t) => {
    const host = await netavarkHost(t, executable)
    await host.container('c1')
    for (const [name, trap] of TRAPS) await t.test(name, (t) => trap(t, host, executable))
  })
