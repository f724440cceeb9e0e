/**
 * Removing ports without a living owner while others publish theirs (docs/architecture/cni.md#d5): stopped at
 * each of its requests.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, needsStrace, standing } from '../helpers/cni/fault.ts'
import { cliExecutable, ROOT } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const call = (containerId: string, hostPort: number): Call => ({
  containerId,
  conf: { runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } },
})

const source = (path: string) => JSON.stringify(join(ROOT, path))

const REMOVE_STALE = `import { removeStale } from ${source('kernel/repair.ts')}
  console.log(removeStale(host))`

/** As a DEL, or an ADD that reclaims the lease, does it for an owner whose interface is gone. */
const unpublish = (hostPort: number, owner: string): string => {
  const mapping = { hostPort, containerPort: 80, protocol: 'tcp', hostIP: '' }
  return `import { unpublishPorts } from ${source('kernel/ports/publish.ts')}
    unpublishPorts(host, [${JSON.stringify(mapping)}], '${owner}')
    console.log(0)`
}

/** @param body of a program that has `host`, a socket @returns what it printed */
async function stoppedAt(
  host: CniHost,
  nth: number,
  body: string,
  meanwhile: () => Promise<unknown>,
): Promise<number> {
  const program = join(host.m.dir, 'stale.mts')
  const [trace, output] = [join(host.m.dir, `stale.${nth}`), join(host.m.dir, `stale.${nth}.out`)]
  writeFileSync(
    program,
    `import { NETLINK_ROUTE, NetlinkSocket } from ${source('netlink-ts/socket.ts')}
    const host = NetlinkSocket.open(NETLINK_ROUTE)
    ${body}`,
  )
  const script = `exec strace -o ${trace} -e trace=sendto -e inject=sendto:signal=STOP:when=${nth} \
    ${process.execPath} --disable-warning=ExperimentalWarning ${program} >${output}`
  const run = await host.m.start(['sh', '-c', script], { name: 'stale' })
  const isOver = async () => !(await run.alive())
  await waitFor('it stops or ends', 15_000, async () => {
    const { stdout } = await host.m.run(['cat', trace])
    return stdout.includes('stopped by SIGSTOP') || (await isOver())
  })
  await meanwhile()
  await host.m.run(['pkill', '-CONT', '-P', String(run.pid)])
  await waitFor('it ends', 15_000, isOver)
  return Number(await host.m.exec('cat', output))
}

t.test('the port of an ADD under way is not stale', { skip: needsStrace }, async (t) => {
  const host = await faultHost(t, cliExecutable())
  for (const id of ['first', 'dead', 'new']) await host.container(id)
  await host.ok('ADD', call('first', 9000))
  for (const nth of [1, 2, 3, 4, 5]) {
    // A stale element of a container that died stands where the new one publishes.
    await host.ok('ADD', call('dead', 9001))
    await host.m.exec('ip', '-n', 'dead', 'link', 'del', 'eth0')
    await stoppedAt(host, nth, REMOVE_STALE, () => host.ok('ADD', call('new', 9001)))
    t.same((await standing(host)).publishers, ['first', 'new'], `at request ${nth}`)
    await host.ok('DEL', call('new', 9001))
    await host.ok('DEL', call('dead', 9001))
    t.same((await standing(host)).publishers, ['first'])
  }
  await host.ok('ADD', call('dead', 9001))
  await host.m.exec('ip', '-n', 'dead', 'link', 'del', 'eth0')
  t.equal(await stoppedAt(host, 99, REMOVE_STALE, async () => {}), 1, 'undisturbed it goes')
})

t.test(
  'nor does the end of one container take the port of its successor',
  { skip: needsStrace },
  async (t) => {
    const host = await faultHost(t, cliExecutable())
    for (const id of ['dead', 'new']) await host.container(id)
    for (const nth of [1, 2, 3, 4, 5]) {
      await host.ok('ADD', call('dead', 9001))
      const owner = host.leases()[0]?.hostIfname ?? ''
      await host.m.exec('ip', '-n', 'dead', 'link', 'del', 'eth0')
      await stoppedAt(host, nth, unpublish(9001, owner), () => host.ok('ADD', call('new', 9001)))
      t.same((await standing(host)).publishers, ['new'], `at request ${nth}`)
      await host.ok('DEL', call('new', 9001))
      await host.ok('DEL', call('dead', 9001))
    }
  },
)

/** @returns a program that prints 1, or 0 when it is refused in favour of container `new` */
const publish = (hostPort: number, ip: string, owner: string): string => {
  const mapping = { hostPort, containerPort: 80, protocol: 'tcp', hostIP: '' }
  return `import { parseIpv4 } from ${source('core/addr.ts')}
    import { publishPorts } from ${source('kernel/ports/publish.ts')}
    try {
      publishPorts(host, [${JSON.stringify(mapping)}], parseIpv4('${ip}'), '${owner}')
      console.log(1)
    } catch (err) {
      console.log(/is published by container new: choose another/.test(err.message) ? 0 : err.message)
    }`
}

for (const isStale of [false, true])
  t.test(
    `of two that want a port at once ${isStale ? 'from a dead one ' : ''}one gets it, and the other is told`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, cliExecutable())
      for (const id of ['late', 'new', 'dead']) await host.container(id)
      await host.ok('ADD', { containerId: 'late' })
      const late = host.leases()[0]
      for (const nth of [1, 2, 3, 4, 5, 6, 7]) {
        if (isStale) {
          await host.ok('ADD', call('dead', 9001))
          await host.m.exec('ip', '-n', 'dead', 'link', 'del', 'eth0')
        }
        let isNewRefused = false
        const isLate = await stoppedAt(
          host,
          nth,
          publish(9001, late?.ip ?? '', late?.hostIfname ?? ''),
          async () => {
            const { rc, json } = await host.call('ADD', call('new', 9001))
            isNewRefused = rc !== 0
            if (isNewRefused) t.match(json, { code: 104, msg: /is published by container late/ })
          },
        )
        t.same((await standing(host)).publishers, [isLate ? 'late' : 'new'], `at request ${nth}`)
        t.equal(isLate, isNewRefused ? 1 : 0)
        await host.m.exec('nft', 'flush', 'map', 'inet', 'flatnet', 'ports_any')
        await host.ok('DEL', call('new', 9001))
        await host.ok('DEL', call('dead', 9001))
      }
    },
  )
