/**
 * What DEL has to live without: the namespace, the address that is another's by now, its peace
 * (docs/architecture/cni.md#d1 to #d7, #p25).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, litter, needsStrace, record, standing, traced } from '../helpers/cni/fault.ts'
import { ALONE, BOTH, NOBODY, VICTIM, withWitness } from '../helpers/cni/fault-kill.ts'
import { publishedPorts } from '../helpers/kernel/leftovers.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** Starts ADD of the victim, stops it as a system call begins, lets `meanwhile` happen, and lets it go on. */
async function stoppedAt(host: CniHost, nth: number, meanwhile: () => Promise<unknown>): Promise<void> {
  const conf = join(host.m.dir, 'conf.json')
  const trace = join(host.m.dir, `stopped.${nth}`)
  writeFileSync(conf, JSON.stringify(host.conf(VICTIM.conf)))
  const script = `exec env CNI_COMMAND=ADD CNI_CONTAINERID=victim CNI_NETNS=/run/netns/victim CNI_IFNAME=eth0 \
    strace -o ${trace} -e trace=sendto -e inject=sendto:signal=STOP:when=${nth} ${join(host.binDir, 'flatnet')} <${conf}`
  const strace = await host.m.start(['sh', '-c', script], { name: 'stopped' })
  const isOver = async () => !(await strace.alive())
  await waitFor('it stops or ends', 15_000, async () => {
    const { stdout } = await host.m.run(['cat', trace])
    return stdout.includes('stopped by SIGSTOP') || (await isOver())
  })
  await meanwhile()
  await host.m.run(['pkill', '-CONT', '-P', String(strace.pid)])
  await waitFor('ADD ends', 15_000, isOver)
}

async function deleted(t: Test, host: CniHost, call: Call, when: string): Promise<void> {
  const reply = await host.call('DEL', call)
  t.equal(reply.rc, 0, `${when}: ${reply.stdout}`)
  t.equal(reply.stdout, '', 'and says nothing')
}

for (const executable of executables()) {
  t.test(
    `${executable.name}: DEL without the namespace, by its dangling path or by none (D1)`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await withWitness(host)
      for (const netns of ['/run/netns/victim', '', '/proc/999999/ns/net']) {
        await host.ok('ADD', VICTIM)
        if (netns.startsWith('/run')) await host.m.exec('ip', 'netns', 'del', 'victim')
        await deleted(t, host, { ...VICTIM, netns }, `netns "${netns}"`)
        t.same(await standing(host), ALONE, `netns "${netns}"`)
        t.same(litter(host), [])
        if (netns.startsWith('/run')) await host.container('victim')
      }
    },
  )

  t.test(`${executable.name}: a namespace that goes during ADD`, { skip: needsStrace }, async (t) => {
    const host = await faultHost(t, executable)
    await withWitness(host)
    for (const nth of [1, 6, 8, 10, 13]) {
      await stoppedAt(host, nth, () => host.m.exec('ip', 'netns', 'del', 'victim'))
      await deleted(t, host, VICTIM, `at ${nth}`)
      t.same(await standing(host), ALONE, `at ${nth}`)
      t.same(litter(host), [])
      await host.container('victim')
    }
    await host.ok('ADD', VICTIM)
    t.same(await standing(host), BOTH)
  })

  t.test(
    `${executable.name}: DEL finishes through SIGTERM, SIGINT and SIGHUP (netavark #1223)`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await withWitness(host)
      await host.ok('ADD', VICTIM)
      const steps = await record(host, 'DEL', VICTIM)
      const work = steps.filter(({ what }) => /^(sendto|rename ipam|unlink)/.test(what))
      t.ok(work.length >= 4)
      for (const [i, step] of work.entries()) {
        const signal = (['TERM', 'INT', 'HUP'] as const)[i % 3]
        await host.ok('ADD', VICTIM)
        const ran = await traced(host, 'DEL', VICTIM, `${step.syscall}:signal=${signal}:when=${step.nth}`)
        t.equal(ran.rc, 0, `${signal} at ${step.what}: ${ran.stdout}${ran.stderr}`)
        t.same(await standing(host), ALONE, `${signal} at ${step.what}`)
      }
    },
  )

  t.test(
    `${executable.name}: a late DEL touches nothing of who has the address and port now (D5)`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('old')
      await host.container('new')
      const wish = (containerId: string): Call => ({
        containerId,
        conf: {
          runtimeConfig: {
            ips: ['10.100.1.50'],
            portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
          },
        },
      })
      await host.ok('ADD', wish('old'))
      const held = await host.call('ADD', wish('new'))
      t.match(held.json, { code: 101, msg: /held by container old on eth0/ }, 'while it lives it keeps it')
      await host.m.exec('ip', 'netns', 'del', 'old')
      // The kernel takes a dead namespace's links away a moment later.
      await waitFor(
        'the link of the dead is gone',
        10_000,
        async () => (await standing(host)).links.length === 0,
      )
      await host.ok('ADD', wish('new'))
      const before = {
        standing: await standing(host),
        ports: await publishedPorts(host.m),
        leases: host.leases(),
      }
      t.same(before.standing, { leases: ['new'], links: ['new'], publishers: ['new'] })
      await deleted(t, host, wish('old'), 'the late one')
      t.same(
        { standing: await standing(host), ports: await publishedPorts(host.m), leases: host.leases() },
        before,
      )
      await deleted(t, host, wish('new'), 'its own')
      t.same(await standing(host), NOBODY)
    },
  )
}
