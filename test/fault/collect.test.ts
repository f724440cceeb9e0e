/**
 * `flatnet gc` while containers start: what it saw stale may live by the time it acts
 * (docs/architecture/leases.md#stale: a live one is never touched).
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, needsStrace, standing } from '../helpers/cni/fault.ts'
import { cliExecutable } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const executable = cliExecutable()
const call = (containerId: string, hostPort: number): Call => ({
  containerId,
  conf: { runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } },
})

/** @returns the folder of configurations that gc finds the dataDir in */
function configured(host: CniHost): string {
  const folder = join(host.m.dir, 'net.d')
  mkdirSync(folder, { recursive: true })
  const { cniVersion, name, ...plugin } = host.conf()
  writeFileSync(join(folder, 'flatnet.conflist'), JSON.stringify({ cniVersion, name, plugins: [plugin] }))
  return folder
}

/** The namespace goes without DEL, and its link a moment later. */
async function die(host: CniHost, id: string): Promise<void> {
  await host.m.exec('ip', 'netns', 'del', id)
  await waitFor('the link goes', 10_000, async () => !(await standing(host)).links.includes(id))
}

t.test('a container that starts while gc is at work keeps everything', { skip: needsStrace }, async (t) => {
  const host = await faultHost(t, executable)
  const folder = configured(host)
  for (const [i, id] of ['g0', 'g1'].entries()) {
    await host.container(id)
    await host.ok('ADD', call(id, 9000 + i))
    await die(host, id)
  }
  // Stopped between its look at the leases and its first lock.
  const trace = join(host.m.dir, 'gc.trace')
  const output = join(host.m.dir, 'gc.json')
  const lock = join(host.dataDir, 'ipam/flatnet/lock')
  const script = `exec strace -o ${trace} -P ${lock} -e trace=openat -e inject=openat:signal=STOP:when=1 \
    ${executable.path} gc --json --cni-conf-dir ${folder} >${output}`
  const gc = await host.m.start(['sh', '-c', script], { name: 'gc' })
  await waitFor('it stops', 15_000, async () =>
    (await host.m.run(['cat', trace])).stdout.includes('stopped by SIGSTOP'),
  )
  await host.container('g0')
  const added = await host.ok('ADD', call('g0', 9000))
  await host.m.run(['pkill', '-CONT', '-P', String(gc.pid)])
  await waitFor('gc ends', 15_000, async () => !(await gc.alive()))
  t.same(await standing(host), { leases: ['g0'], links: ['g0'], publishers: ['g0'] })
  t.match(await host.m.exec('ip', '-n', 'g0', '-4', 'addr', 'show', 'eth0'), added.ips[0].address)
  t.match(
    JSON.parse(await host.m.exec('cat', output)),
    { leases: [{ containerId: 'g1' }] },
    'and gc names only what went',
  )
  t.equal(JSON.parse(await host.m.exec('cat', output)).leases.length, 1)
})

t.test(
  'a lease whose link is gone is collected, whatever its path says',
  { skip: needsStrace },
  async (t) => {
    const host = await faultHost(t, executable)
    const folder = configured(host)
    for (const id of ['gone', 'killed', 'live']) {
      await host.container(id)
      await host.ok('ADD', { containerId: id })
    }
    await host.m.exec('ip', '-n', 'gone', 'link', 'del', 'eth0')
    await host.m.exec('ip', '-n', 'killed', 'link', 'del', 'eth0')
    await host.container('other')
    const conf = { runtimeConfig: { ips: ['10.100.1.10'] } }
    const added = await host.ok('ADD', { containerId: 'other', conf })
    t.equal(added.ips[0].address, '10.100.1.10/24', 'who asks for the address gets it')
    const collected = JSON.parse(await host.m.exec(executable.path, 'gc', '--json', '--cni-conf-dir', folder))
    t.match(collected, { leases: [{ containerId: 'killed', reason: 'no link' }] })
    t.same(await standing(host), { leases: ['live', 'other'], links: ['live', 'other'], publishers: [] })
  },
)
