/**
 * A store from a backup while containers live: whole, of this boot, and old. The kernel's links say who has an address.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, litter, needsStrace, standing } from '../helpers/cni/fault.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import { publishedPorts } from '../helpers/kernel/leftovers.ts'
import type { Background } from '../helpers/kernel/machine.ts'
import { cliExecutable, executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const kept = (host: CniHost): string => join(host.m.dir, 'kept')

function backUp(host: CniHost): void {
  cpSync(host.dataDir, kept(host), { recursive: true, verbatimSymlinks: true })
}

function restore(host: CniHost): void {
  rmSync(host.dataDir, { recursive: true })
  cpSync(kept(host), host.dataDir, { recursive: true, verbatimSymlinks: true })
}

const wish = (containerId: string, ip?: string, hostPort?: number): Call => ({
  containerId,
  conf: {
    runtimeConfig: {
      ...(ip !== undefined && { ips: [ip] }),
      ...(hostPort !== undefined && { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] }),
    },
  },
})

const addressOf = (host: CniHost, id: string): string | undefined =>
  host.leases().find(({ containerId }) => containerId === id)?.ip

// biome-ignore lint/suspicious/noExplicitAny: a CNI result
type Result = any

/** @returns the result; its address is in `ips[0].address` */
async function attach(host: CniHost, id: string, ip?: string, hostPort?: number): Promise<Result> {
  await host.container(id)
  return host.ok('ADD', wish(id, ip, hostPort))
}

/** As a runtime does: DEL, and the namespace goes with it. */
async function detach(host: CniHost, id: string): Promise<void> {
  await host.ok('DEL', wish(id))
  await host.m.exec('ip', 'netns', 'del', id)
}

async function checked(t: Test, host: CniHost, id: string, result: Result): Promise<void> {
  const reply = await host.call('CHECK', { ...wish(id), conf: { prevResult: result } })
  t.equal(reply.rc, 0, `CHECK of ${id}: ${reply.stdout}`)
}

const addresses = (results: readonly Result[]): string[] => results.map((r) => r.ips[0].address)

/** What the plugin wrote down in the verbs of one container. */
function logged(host: CniHost, containerId: string): Record<string, string>[] {
  const lines = readFileSync(join(host.dataDir, 'log/cni.log'), 'utf8').trim().split('\n')
  const entries = lines.map((line) => JSON.parse(line))
  const pids = new Set(entries.filter((entry) => entry.containerId === containerId).map(({ pid }) => pid))
  return entries.filter(({ pid }) => pids.has(pid))
}

/**
 * Three containers, one with a published port, that the store of an earlier moment, which is put back, knows nothing
 * of.
 */
async function outliveStore(host: CniHost): Promise<Result[]> {
  await attach(host, 'before')
  backUp(host)
  const lived = [
    await attach(host, 'x1'),
    await attach(host, 'x2', undefined, 8080),
    await attach(host, 'x3'),
  ]
  restore(host)
  return lived
}

for (const executable of executables()) {
  t.test(`${executable.name}: many at once over an old store`, { skip: needsStrace }, async (t) => {
    const host = await faultHost(t, executable)
    const lived = await outliveStore(host)
    // Its lease is not there, its link and port are.
    await detach(host, 'x2')
    t.same((await standing(host)).publishers, [])
    const next = await Promise.all(['y1', 'y2', 'y3', 'y4'].map((id) => attach(host, id)))
    const all = addresses([...lived.filter((_, i) => i !== 1), ...next])
    t.equal(new Set(all).size, 6, `${all}`)
    const ids = ['before', 'x1', 'x3', 'y1', 'y2', 'y3', 'y4']
    t.same(await standing(host), { leases: ids, links: ids, publishers: [] })
    t.same(litter(host), [])
  })

  t.test(`${executable.name}: an old store gives nobody a live address`, { skip: needsStrace }, async (t) => {
    const host = await faultHost(t, executable)
    const lived = await outliveStore(host)
    const next = await attach(host, 'y')
    const all = addresses([...lived, next])
    t.equal(new Set(all).size, 4, `${all}`)
    t.same(await standing(host), {
      leases: ['before', 'x1', 'x2', 'x3', 'y'],
      links: ['before', 'x1', 'x2', 'x3', 'y'],
      publishers: ['x2'],
    })
    for (const [i, id] of ['x1', 'x2', 'x3'].entries()) {
      t.equal(`${addressOf(host, id)}/24`, all[i], `${id} has its lease back`)
      await checked(t, host, id, lived[i])
    }
    t.match(logged(host, 'y'), [
      {
        level: 'warn',
        event: /held by a live link/,
        err: /is held by the host interface fn.* of container x1/,
      },
      { level: 'warn', event: /has its lease back/ },
      { level: 'warn', event: /has its lease back/ },
      { level: 'warn', event: /has its lease back/ },
      { level: /info|warn/, event: /^attachment added/ },
    ])
    for (const id of ['before', 'x1', 'x2', 'x3', 'y']) await detach(host, id)
    t.same(await standing(host), NOBODY)
    t.same(await publishedPorts(host.m), [], 'also the port that no lease knew')
  })

  t.test(
    `${executable.name}: an address asked for that an old store calls free`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await attach(host, 'before')
      backUp(host)
      const x = await attach(host, 'x', '10.100.1.50')
      restore(host)
      await host.container('y')
      const refused = await host.call('ADD', wish('y', '10.100.1.50'))
      t.match(refused.json, { code: 101, msg: /10\.100\.1\.50 is held by container x on eth0/ })
      t.same((await standing(host)).links, ['before', 'x'], 'nothing of y is left')
      t.same((await standing(host)).leases, ['before', 'x'])
      await checked(t, host, 'x', x)
      await detach(host, 'x')
      await host.ok('ADD', wish('y', '10.100.1.50'))
    },
  )

  t.test(
    `${executable.name}: leases that an old store brings back block nobody`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await attach(host, 'gone', '10.100.1.50')
      await attach(host, 'moved', '10.100.1.60')
      backUp(host)
      await detach(host, 'gone')
      await detach(host, 'moved')
      // Both addresses have another holder by now, and one of the old holders has another address.
      const heirs = [await attach(host, 'heir', '10.100.1.50'), await attach(host, 'moved', '10.100.1.70')]
      restore(host)
      t.equal(addressOf(host, 'gone'), '10.100.1.50')
      await host.container('y')
      const refused = await host.call('ADD', wish('y', '10.100.1.50'))
      t.match(refused.json, { code: 101, msg: /held by container heir/ })
      t.equal(addressOf(host, 'moved'), '10.100.1.70', 'what the kernel says is believed')
      await host.ok('ADD', wish('y', '10.100.1.60'))
      t.same((await standing(host)).leases, ['heir', 'moved', 'y'])
      await checked(t, host, 'heir', heirs[0])
      await checked(t, host, 'moved', heirs[1])
      for (const id of ['heir', 'moved', 'y']) await detach(host, id)
      t.same(await standing(host), NOBODY)
    },
  )

  t.test(`${executable.name}: its own old address is another's by now`, { skip: needsStrace }, async (t) => {
    const host = await faultHost(t, executable)
    await attach(host, 'app', '10.100.1.50')
    backUp(host)
    await detach(host, 'app')
    await attach(host, 'heir', '10.100.1.50')
    restore(host)
    // The same container starts again, and its lease says .50.
    const again = await attach(host, 'app')
    t.not(again.ips[0].address, '10.100.1.50/24')
    t.equal(addressOf(host, 'heir'), '10.100.1.50')
    t.same((await standing(host)).leases, ['app', 'heir'])
    // And once more, with its own link in the way: that is nobody else's.
    restore(host)
    await host.m.exec('ip', 'netns', 'del', 'app')
    const third = await attach(host, 'app')
    t.not(third.ips[0].address, '10.100.1.50/24')
    t.same((await standing(host)).links, ['app', 'heir'])
  })
}

/** @returns the path of the gateway's configuration */
function configured(host: CniHost): string {
  const config = join(host.m.dir, 'flatnet.yaml')
  writeFileSync(config, JSON.stringify({ hostId: 1, supernet: '10.100.0.0/16', dataDir: host.dataDir }))
  return config
}

async function gateway(host: CniHost): Promise<Background> {
  const config = configured(host)
  return host.m.start([cliExecutable().path, 'gateway', '--config', config], { name: 'gateway' })
}

const SOCKET = ['curl', '-s', '--unix-socket', '/run/flatnet/gateway.sock']

async function registered(host: CniHost): Promise<string[]> {
  const { stdout } = await host.m.run([...SOCKET, 'http://f/v1/assignments?host=1'])
  if (stdout === '') return []
  const assignments: { containerId: string; ips: string[] }[] = JSON.parse(stdout)
  return assignments.map(({ containerId, ips }) => `${containerId} ${ips}`).sort()
}

t.test('the gateway gives the living their leases back', { skip: needsStrace }, async (t) => {
  const host = await faultHost(t, cliExecutable())
  await attach(host, 'gone', '10.100.1.40')
  await attach(host, 'moved', '10.100.1.60')
  backUp(host)
  await detach(host, 'gone')
  await detach(host, 'moved')
  await attach(host, 'moved', '10.100.1.70')
  await attach(host, 'x', '10.100.1.50')
  restore(host)
  const truth = ['moved 10.100.1.70/24', 'x 10.100.1.50/24']
  const running = await gateway(host)
  const isTrue = async () => JSON.stringify(await registered(host)) === JSON.stringify(truth)
  await waitFor('the registry is true', 20_000, isTrue)
  t.equal(addressOf(host, 'x'), '10.100.1.50')
  t.equal(addressOf(host, 'moved'), '10.100.1.70')
  t.equal(running.log().match(/has its lease back/g)?.length, 2, running.log())
  // Again while it runs; of what it was told by a call the names and ports come back too.
  await host.container('told')
  const told = wish('told', '10.100.1.80', 8080)
  const registrar = { endpoint: 'unix:///run/flatnet/gateway.sock', timeoutMs: 2_000 }
  await host.ok('ADD', { ...told, conf: { ...told.conf, registrar } })
  truth.splice(1, 0, 'told 10.100.1.80/24')
  await waitFor('it is told', 20_000, isTrue)
  await host.m.exec('ip', 'link', 'property', 'del', 'dev', 'fnip-10.100.1.80', 'altname', 'fnip-10.100.1.80')
  // Over what is there, as rsync and tar do it: newer files stay.
  await host.m.exec('cp', '-a', `${kept(host)}/.`, host.dataDir)
  await waitFor('the leases are back', 45_000, () => addressOf(host, 'x') === '10.100.1.50')
  await waitFor('the registry is true again', 20_000, isTrue)
  t.match(
    await host.m.exec('ip', 'link', 'show', 'fnip-10.100.1.80'),
    / told /,
    'a name that was taken away too',
  )
  t.match(host.leases().find(({ containerId }) => containerId === 'told')?.ports, [{ hostPort: 8080 }])
  await detach(host, 'x')
  await waitFor('x is gone', 45_000, async () => (await registered(host)).length === 2)
  t.equal(addressOf(host, 'x'), undefined)
  await running.kill()
})

t.test('the gateway mends a file that no container start comes by', { skip: needsStrace }, async (t) => {
  const host = await faultHost(t, cliExecutable())
  await attach(host, 'far', '10.100.1.200')
  await attach(host, 'near')
  const file = join(host.dataDir, 'ipam/flatnet/10.100.1.192.json')
  writeFileSync(file, '{')
  const running = await gateway(host)
  const isTrue = async () => (await registered(host)).join() === 'far 10.100.1.200/24,near 10.100.1.10/24'
  await waitFor('both are registered', 20_000, isTrue)
  t.match(JSON.parse(readFileSync(file, 'utf8')).leases, { '10.100.1.200': { containerId: 'far' } })
  await detach(host, 'far')
  await waitFor('far is gone', 45_000, async () => (await registered(host)).length === 1)
  await running.kill()
})

t.test(
  'two with one address, as old kernels let it come to: it is said who moves',
  { skip: needsStrace },
  async (t) => {
    const host = await faultHost(t, cliExecutable(), '1.0.0')
    const { cniVersion, name, ...plugin } = host.conf()
    await host.m.run(['sh', '-c', 'mkdir -p /etc/cni/net.d && cat >/etc/cni/net.d/flatnet.conflist'], {
      input: JSON.stringify({ cniVersion, name, plugins: [plugin] }),
    })
    const config = configured(host)
    const found = async (): Promise<{ id: string; what: string; fix: string }[]> => {
      const { stdout } = await host.m.run([cliExecutable().path, 'doctor', '--json', '--config', config])
      return JSON.parse(stdout).filter(({ id }: { id: string }) => /^(address-twice|lease-missing)$/.test(id))
    }
    await attach(host, 'before')
    backUp(host)
    await attach(host, 'x', '10.100.1.50')
    t.same(await found(), [], 'all is well')
    await host.m.exec(
      'ip',
      'link',
      'property',
      'del',
      'dev',
      'fnip-10.100.1.50',
      'altname',
      'fnip-10.100.1.50',
    )
    restore(host)
    t.match(await found(), [{ id: 'lease-missing', what: /no lease names x \(fn/, fix: /gateway/ }])
    await attach(host, 'y', '10.100.1.50')
    t.match(await found(), [{ id: 'address-twice', what: /^10\.100\.1\.50 is/, fix: 'podman restart x' }])
    const running = await gateway(host)
    await waitFor('it is said', 20_000, () => running.log().includes('two live containers have one address'))
    t.match(running.log(), /container y .* and container x .* both have 10\.100\.1\.50: restart x/)
    t.equal(addressOf(host, 'y'), '10.100.1.50', 'who has the lease keeps it')
    // What the restart does.
    await detach(host, 'x')
    await attach(host, 'x')
    t.same(await found(), [])
    t.equal(running.log().match(/two live containers/g)?.length, 1, 'it was said once')
    await running.kill()
  },
)
